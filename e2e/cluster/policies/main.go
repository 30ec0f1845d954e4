// Policies enforces NetworkPolicy on the one node: it watches policies, namespaces and pods, and keeps one nftables
// table up to date that drops what no policy admits.
//
// In: a kubeconfig, the pods' subnet, the table's name · Out: the table, replaced in one transaction whenever it changes.
package main

import (
	"context"
	"flag"
	"log"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	table := flag.String("table", "", "the nftables table to own")
	subnet := flag.String("subnet", "", "the pods' subnet; other traffic is let alone")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatalf("cannot read %s: %v", *kubeconfig, err)
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	policies := factory.Networking().V1().NetworkPolicies()
	namespaces := factory.Core().V1().Namespaces()
	pods := factory.Core().V1().Pods()

	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // somebody said so already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{policies.Informer(), namespaces.Informer(), pods.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatalf("cannot watch: %v", err)
		}
	}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	notify()
	applied := ""
	for range changed {
		var seen state
		seen.policies, _ = policies.Lister().List(labels.Everything()) // a cache never fails to list
		seen.namespaces, _ = namespaces.Lister().List(labels.Everything())
		seen.pods, _ = pods.Lister().List(labels.Everything())
		rules := render(*table, *subnet, seen)
		if rules == applied {
			continue
		}
		if err := apply(rules); err != nil {
			log.Printf("cannot apply the rules, trying again: %v", err)
			time.AfterFunc(time.Second, notify)
			continue
		}
		applied = rules
		log.Printf("applied:\n%s", rules)
	}
}

func apply(rules string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if out, err := command.CombinedOutput(); err != nil {
		log.Printf("nft: %s", out)
		return err
	}
	return nil
}
