// Kube is the whole of Kubernetes in one program: it runs the component that its own name, or else its first
// argument, picks.
//
// In: a component's name and that component's own flags · Out: the component's exit code.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // CronJob time zones on a machine without a zone database

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlerrors "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps a name to the command behind it. Only the chosen one is built, because each registers flags.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
	"kube-controller-manager": func() *cobra.Command { return controllers.NewControllerManagerCommand() },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubectl":                 func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() },
}

func main() {
	if components[filepath.Base(os.Args[0])] == nil && len(os.Args) > 1 {
		// A fresh slice: cobra and the kubelet both change the arguments they are given.
		os.Args = append([]string(nil), os.Args[1:]...)
	}
	name := filepath.Base(os.Args[0])
	build := components[name]
	if build == nil {
		fmt.Fprintln(os.Stderr, "usage: kube kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kubectl [FLAG]...")
		os.Exit(2)
	}
	if name == "kubectl" {
		kubectlerrors.CheckErr(cli.RunNoErrOutput(build()))
		return
	}
	os.Exit(cli.Run(build()))
}
