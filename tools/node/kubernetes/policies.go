package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// A state is what network policies depend on.
type state struct {
	pods       []*core.Pod
	namespaces map[string]*core.Namespace
	policies   []*networking.NetworkPolicy
}

// A direction is ingress or egress, seen from the pods that a policy selects.
type direction struct {
	kind networking.PolicyType
	// own and other are nftables' words for the address of the selected pod and of its peer.
	own, other string
	rules      func(*networking.NetworkPolicy) []rule
}

// A rule is what NetworkPolicyIngressRule and NetworkPolicyEgressRule have in common.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

var directions = []direction{
	{networking.PolicyTypeEgress, "saddr", "daddr", func(policy *networking.NetworkPolicy) []rule {
		var rules []rule
		for _, egress := range policy.Spec.Egress {
			rules = append(rules, rule{egress.To, egress.Ports})
		}
		return rules
	}},
	{networking.PolicyTypeIngress, "daddr", "saddr", func(policy *networking.NetworkPolicy) []rule {
		var rules []rule
		for _, ingress := range policy.Spec.Ingress {
			rules = append(rules, rule{ingress.From, ingress.Ports})
		}
		return rules
	}},
}

func selects(selector *meta.LabelSelector, of map[string]string) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}

// selectedBy returns the pods that a peer of a policy in a namespace stands for.
func (s state) selectedBy(peer networking.NetworkPolicyPeer, namespace string) []*core.Pod {
	var selected []*core.Pod
	for _, pod := range s.pods {
		inNamespace := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			home, known := s.namespaces[pod.Namespace]
			inNamespace = known && selects(peer.NamespaceSelector, home.Labels)
		}
		if inNamespace && (peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)) {
			selected = append(selected, pod)
		}
	}
	return selected
}

func addresses(pods []*core.Pod) string {
	var list []string
	for _, pod := range pods {
		list = append(list, pod.Status.PodIP)
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

// number finds the port that a container of the pod gives a name to; 0 when none does.
func number(pod *core.Pod, name string, protocol core.Protocol) int32 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == core.ProtocolTCP) {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// portMatch returns the nftables match of a port whose name, if it has one, is known to the pod that receives.
func portMatch(port networking.NetworkPolicyPort, receiver *core.Pod) (match string, possible bool) {
	protocol := core.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	word := strings.ToLower(string(protocol))
	switch {
	case port.Port == nil:
		return "meta l4proto " + word, true
	case port.Port.Type == intstr.String:
		if receiver == nil {
			return "", false
		}
		found := number(receiver, port.Port.StrVal, protocol)
		return fmt.Sprintf("%s dport %d", word, found), found != 0
	case port.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", word, port.Port.IntVal, *port.EndPort), true
	}
	return fmt.Sprintf("%s dport %d", word, port.Port.IntVal), true
}

// allowed returns the nftables matches of what a rule lets through, to or from a pod.
func (s state) allowed(way direction, pod *core.Pod, namespace string, r rule) []string {
	var matches []string
	add := func(peer string, receiver *core.Pod) {
		if len(r.ports) == 0 {
			matches = append(matches, peer)
		}
		for _, port := range r.ports {
			if match, possible := portMatch(port, receiver); possible {
				matches = append(matches, strings.TrimSpace(peer+" "+match))
			}
		}
	}
	receiver := pod
	if way.kind == networking.PolicyTypeEgress {
		receiver = nil
	}
	if len(r.peers) == 0 {
		add("", receiver)
	}
	named := slices.ContainsFunc(r.ports, func(port networking.NetworkPolicyPort) bool {
		return port.Port != nil && port.Port.Type == intstr.String
	})
	for _, peer := range r.peers {
		if peer.IPBlock != nil {
			if prefix, err := netip.ParsePrefix(peer.IPBlock.CIDR); err != nil || !prefix.Addr().Is4() {
				continue
			}
			match := fmt.Sprintf("ip %s %s", way.other, peer.IPBlock.CIDR)
			if len(peer.IPBlock.Except) > 0 {
				match += fmt.Sprintf(" ip %s != { %s }", way.other, strings.Join(peer.IPBlock.Except, ", "))
			}
			add(match, receiver)
			continue
		}
		selected := s.selectedBy(peer, namespace)
		switch {
		case len(selected) == 0:
		case receiver == nil && named:
			for _, one := range selected {
				add(fmt.Sprintf("ip %s %s", way.other, one.Status.PodIP), one)
			}
		default:
			add(fmt.Sprintf("ip %s %s", way.other, addresses(selected)), receiver)
		}
	}
	return matches
}

// ruleset returns the nftables program that enforces the policies: a chain for each pod and direction that one selects.
func (s state) ruleset() string {
	const table = "table ip network_policies"
	var chains, jumps strings.Builder
	for _, way := range directions {
		var targets []string
		for _, pod := range s.pods {
			var isolated bool
			var matches []string
			for _, policy := range s.policies {
				if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, way.kind) ||
					!selects(&policy.Spec.PodSelector, pod.Labels) {
					continue
				}
				isolated = true
				for _, r := range way.rules(policy) {
					matches = append(matches, s.allowed(way, pod, policy.Namespace, r)...)
				}
			}
			if !isolated {
				continue
			}
			slices.Sort(matches)
			chain := strings.ToLower(string(way.kind)) + "_" + strings.ReplaceAll(pod.Status.PodIP, ".", "_")
			fmt.Fprintf(&chains, "  chain %s {\n", chain)
			for _, match := range slices.Compact(matches) {
				fmt.Fprintf(&chains, "    %s return\n", match)
			}
			chains.WriteString("    drop\n  }\n")
			targets = append(targets, fmt.Sprintf("%s : jump %s", pod.Status.PodIP, chain))
		}
		if len(targets) > 0 {
			fmt.Fprintf(&jumps, "    ip %s vmap { %s }\n", way.own, strings.Join(targets, ", "))
		}
	}
	var program strings.Builder
	fmt.Fprintf(&program, "%s\ndelete %s\n%s {\n%s", table, table, table, chains.String())
	// What goes to the API server arrives in `input`; what the node itself sends, as kubelet's probes, is in neither.
	for _, hook := range []string{"forward", "input"} {
		fmt.Fprintf(&program, "  chain %s {\n    type filter hook %s priority -10; policy accept;\n", hook, hook)
		fmt.Fprintf(&program, "    ct state established,related accept\n%s  }\n", jumps.String())
	}
	program.WriteString("}\n")
	return program.String()
}

func enforce(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notice := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: notice, UpdateFunc: func(_, now any) { notice(now) }, DeleteFunc: notice}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	var last string
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		now := state{namespaces: map[string]*core.Namespace{}}
		listed, _ := pods.Lister().List(labels.Everything())
		for _, pod := range listed {
			over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
			if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !over {
				now.pods = append(now.pods, pod)
			}
		}
		slices.SortFunc(now.pods, func(a, b *core.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
		homes, _ := namespaces.Lister().List(labels.Everything())
		for _, home := range homes {
			now.namespaces[home.Name] = home
		}
		now.policies, _ = policies.Lister().List(labels.Everything())
		program := now.ruleset()
		if program == last {
			continue
		}
		nft := exec.CommandContext(ctx, "nft", "--file", "-")
		nft.Stdin = strings.NewReader(program)
		if output, err := nft.CombinedOutput(); err != nil {
			fmt.Printf("nft: %s: %s\n%s", err, output, program)
			time.Sleep(time.Second)
			notice(nil)
			continue
		}
		last = program
	}
}

func newPoliciesCommand() *cobra.Command {
	return withClient(&cobra.Command{
		Use:   "network-policies",
		Short: "Enforce NetworkPolicies between the pods of this node, by nftables",
	}, enforce)
}
