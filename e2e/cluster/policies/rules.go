package main

import (
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// state is what the cluster says right now.
type state struct {
	policies   []*networking.NetworkPolicy
	namespaces []*core.Namespace
	pods       []*core.Pod
}

// render writes the whole table as nftables input. Equal states give equal text.
//
// A pod that some policy isolates has one chain for each isolated direction. What a policy admits returns from the
// chain, the rest is dropped at its end. Replies always pass. Traffic to and from the node itself is not forwarded,
// so it never comes here: the kubelet's probes always pass, as Kubernetes wants it.
func render(table, subnet string, seen state) string {
	slices.SortFunc(seen.policies, func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	slices.SortFunc(seen.pods, func(a, b *core.Pod) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })

	var jumps, chains strings.Builder
	for _, pod := range seen.pods {
		if address(pod) == "" {
			continue
		}
		for _, direction := range []networking.PolicyType{networking.PolicyTypeEgress, networking.PolicyTypeIngress} {
			admitted, isolated := seen.admitted(pod, direction)
			if !isolated {
				continue
			}
			side := map[networking.PolicyType]string{networking.PolicyTypeEgress: "saddr", networking.PolicyTypeIngress: "daddr"}[direction]
			chain := strings.ToLower(string(direction)) + "-" + strings.ReplaceAll(address(pod), ".", "-")
			fmt.Fprintf(&jumps, "    ip %s %s jump %s\n", side, address(pod), chain)
			fmt.Fprintf(&chains, "  chain %s {\n", chain)
			for _, match := range admitted {
				fmt.Fprintf(&chains, "    %s\n", strings.TrimSpace(match+" return"))
			}
			fmt.Fprint(&chains, "    drop\n  }\n")
		}
	}
	return fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
%[4]s  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr != %[2]s ip daddr != %[2]s return
    ct state established,related return
%[3]s  }
}
`, table, subnet, jumps.String(), chains.String())
}

// address is where other pods reach this one; empty if they do not, or not as a pod.
func address(pod *core.Pod) string {
	over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	if pod.Spec.HostNetwork || over {
		return ""
	}
	return pod.Status.PodIP
}

// admitted lists the matches that let traffic pass, and whether any policy isolates the pod in this direction at all.
func (s state) admitted(pod *core.Pod, direction networking.PolicyType) (matches []string, isolated bool) {
	for _, policy := range s.policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) ||
			!selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		if direction == networking.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				for _, peer := range s.peers(policy.Namespace, rule.From) {
					matches = append(matches, peer.matches("saddr", rule.Ports, pod)...)
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			for _, peer := range s.peers(policy.Namespace, rule.To) {
				matches = append(matches, peer.matches("daddr", rule.Ports, peer.pod)...)
			}
		}
	}
	return matches, isolated
}

// peer is one other side of a rule: a pod, a block of addresses, or, with nothing set, anybody.
type peer struct {
	pod    *core.Pod
	cidr   string
	except []string
}

func (s state) peers(namespace string, from []networking.NetworkPolicyPeer) []peer {
	if len(from) == 0 {
		return []peer{{}}
	}
	var found []peer
	for _, wanted := range from {
		if block := wanted.IPBlock; block != nil {
			if strings.Contains(block.CIDR, ":") {
				continue // the pods have no IPv6 addresses
			}
			found = append(found, peer{cidr: block.CIDR, except: block.Except})
			continue
		}
		for _, pod := range s.pods {
			if address(pod) != "" && s.wants(namespace, wanted, pod) {
				found = append(found, peer{pod: pod})
			}
		}
	}
	return found
}

// wants tells whether the selectors of a peer mean this pod. Without one for namespaces they mean the policy's own.
func (s state) wants(namespace string, wanted networking.NetworkPolicyPeer, pod *core.Pod) bool {
	if wanted.PodSelector != nil && !selects(wanted.PodSelector, pod.Labels) {
		return false
	}
	if wanted.NamespaceSelector == nil {
		return pod.Namespace == namespace
	}
	return slices.ContainsFunc(s.namespaces, func(n *core.Namespace) bool {
		return n.Name == pod.Namespace && selects(wanted.NamespaceSelector, n.Labels)
	})
}

// matches writes one nftables match for each port, or one for all. Named ports are those of the pod that serves them.
func (p peer) matches(side string, ports []networking.NetworkPolicyPort, server *core.Pod) []string {
	who := ""
	switch {
	case p.pod != nil:
		who = fmt.Sprintf("ip %s %s", side, address(p.pod))
	case p.cidr != "":
		who = fmt.Sprintf("ip %s %s", side, p.cidr)
		if len(p.except) > 0 {
			who += fmt.Sprintf(" ip %s != { %s }", side, strings.Join(p.except, ", "))
		}
	}
	if len(ports) == 0 {
		return []string{who}
	}
	var found []string
	for _, port := range ports {
		if match, ok := portMatch(port, server); ok {
			found = append(found, strings.TrimSpace(who+" "+match))
		}
	}
	return found
}

// portMatch is false for a name that the serving pod does not have.
func portMatch(port networking.NetworkPolicyPort, server *core.Pod) (string, bool) {
	protocol := core.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	lower := strings.ToLower(string(protocol))
	switch {
	case port.Port == nil:
		return "meta l4proto " + lower, true
	case port.Port.Type == intstr.Int && port.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", lower, port.Port.IntVal, *port.EndPort), true
	case port.Port.Type == intstr.Int:
		return fmt.Sprintf("%s dport %d", lower, port.Port.IntVal), true
	case server == nil:
		return "", false
	}
	for _, container := range server.Spec.Containers {
		for _, named := range container.Ports {
			if named.Name == port.Port.StrVal && (named.Protocol == protocol || named.Protocol == "" && protocol == core.ProtocolTCP) {
				return fmt.Sprintf("%s dport %d", lower, named.ContainerPort), true
			}
		}
	}
	return "", false
}

// selects treats a selector that cannot be read as one that selects nothing; the API server lets none through.
func selects(selector *meta.LabelSelector, own map[string]string) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(own))
}
