package main

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// withClient gives a command the flag --kubeconfig, and the client of it when it runs.
func withClient(command *cobra.Command, run func(context.Context, kubernetes.Interface) error) *cobra.Command {
	kubeconfig := command.Flags().String("kubeconfig", "", "file that leads to the API server")
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		return run(command.Context(), client)
	}
	return command
}
