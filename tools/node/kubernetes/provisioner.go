package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// localFolders makes each volume a folder of the one node.
type localFolders struct{ root string }

func (f localFolders) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if options.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node is chosen: the storage class needs volumeBindingMode WaitForFirstConsumer")
	}
	folder := filepath.Join(f.root, options.PVName)
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the folder of a volume: %w", err)
	}
	// The umask takes bits from Mkdir's mode, and any user of a pod may own the volume.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the folder of a volume: %w", err)
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: folder}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{options.SelectedNodeName},
				}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (f localFolders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return os.RemoveAll(volume.Spec.Local.Path)
}

func newProvisionerCommand() *cobra.Command {
	var name, root string
	command := withClient(&cobra.Command{
		Use:   "provisioner",
		Short: "Provision local volumes in folders of this node",
	}, func(ctx context.Context, client kubernetes.Interface) error {
		controller.NewProvisionController(ctx, client, name, localFolders{root}, controller.LeaderElection(false)).Run(ctx)
		return nil
	})
	command.Flags().StringVar(&name, "name", "", "name of the provisioner in storage classes")
	command.Flags().StringVar(&root, "root", "", "folder that holds the volumes")
	return command
}
