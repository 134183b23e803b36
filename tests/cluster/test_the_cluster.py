"""What the chart's tests take for granted of the cluster that they run on."""

from __future__ import annotations

import pytest
from cluster import Cluster, ClusterFailed

from tests.cluster.boxes import apply, said, start_box, until


def get(host: str) -> str:
    """A shell command that prints what a host answers, or why it does not within 2 s."""
    python = f"import urllib.request as u; print(u.urlopen('http://{host}/', timeout=2).read().decode().strip())"
    return f'python3 -c "{python}" 2>&1'


def until_refused(host: str) -> str:
    """A shell command that ends when a policy has taken hold of its pod, some time after that has started."""
    return f"while {get(host)}; do sleep 0.2; done"


@pytest.fixture(scope="module")
def greeter(cluster: Cluster, namespace: str, box: str) -> str:
    """A Deployment that answers `hello`, behind a Service of the same name."""
    apply(
        cluster,
        namespace,
        f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: greeter}}
        spec:
          selector: {{matchLabels: {{app: greeter}}}}
          template:
            metadata: {{labels: {{app: greeter}}}}
            spec:
              terminationGracePeriodSeconds: 0
              containers:
                - name: greeter
                  image: {box}
                  command: [sh, -c, "echo hello >/tmp/index.html && exec python3 -m http.server --directory /tmp 8000"]
                  ports: [{{name: http, containerPort: 8000}}]
                  readinessProbe: {{tcpSocket: {{port: http}}, periodSeconds: 1}}
                  resources: {{requests: {{cpu: 10m}}}}
                  volumeMounts: [{{name: tmp, mountPath: /tmp}}]
              volumes: [{{name: tmp, emptyDir: {{}}}}]
        ---
        apiVersion: v1
        kind: Service
        metadata: {{name: greeter}}
        spec:
          selector: {{app: greeter}}
          ports: [{{port: 80, targetPort: http}}]
        """,
    )
    cluster.kubectl("rollout", "status", "deployment/greeter", "--namespace", namespace, "--timeout=60s")
    return "greeter"


def test_a_pod_reaches_a_deployment_by_the_name_of_its_service(
    cluster: Cluster, namespace: str, greeter: str, box: str
) -> None:
    start_box(cluster, namespace, "visitor", box, {}, until(get(f"{greeter}.{namespace}.svc.cluster.local")))
    assert said(cluster, namespace, "visitor").endswith("hello")


def test_a_network_policy_lets_in_only_whom_it_names(cluster: Cluster, namespace: str, greeter: str, box: str) -> None:
    policy = f"""
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {{name: friends}}
        spec:
          podSelector: {{matchLabels: {{app: {greeter}}}}}
          ingress:
            - from: [{{podSelector: {{matchLabels: {{role: friend}}}}}}]
              ports: [{{port: http}}]
        """
    apply(cluster, namespace, policy)
    try:
        start_box(cluster, namespace, "friend", box, {"role": "friend"}, until(get(greeter)))
        start_box(cluster, namespace, "stranger", box, {"role": "stranger"}, until_refused(greeter))
        assert said(cluster, namespace, "friend").endswith("hello")
        assert "timed out" in said(cluster, namespace, "stranger")
    finally:
        cluster.kubectl("delete", "networkpolicy", "friends", "--namespace", namespace)
    start_box(cluster, namespace, "anyone", box, {}, until(get(greeter)))
    assert said(cluster, namespace, "anyone").endswith("hello")


def test_a_network_policy_lets_out_only_to_what_it_names(
    cluster: Cluster, namespace: str, greeter: str, box: str
) -> None:
    policy = """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: names-only}
        spec:
          podSelector: {matchLabels: {role: confined}}
          policyTypes: [Egress]
          egress:
            - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
              ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
        """
    apply(cluster, namespace, policy)
    asks = f"{until(f'getent hosts {greeter}')}; {until_refused(greeter)}"
    start_box(cluster, namespace, "confined", box, {"role": "confined"}, asks)
    assert "timed out" in said(cluster, namespace, "confined")


def test_a_claim_without_a_class_binds_and_keeps_what_a_restricted_pod_wrote(
    cluster: Cluster, namespace: str, box: str
) -> None:
    def write_and_count(pod: str) -> str:
        apply(
            cluster,
            namespace,
            f"""
            apiVersion: v1
            kind: PersistentVolumeClaim
            metadata: {{name: data}}
            spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {{name: {pod}}}
            spec:
              restartPolicy: Never
              securityContext: {{runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000}}
              containers:
                - name: box
                  image: {box}
                  command: [sh, -c, "touch /data/{pod} && ls /data | wc -l"]
                  volumeMounts: [{{name: data, mountPath: /data}}]
              volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
            """,
        )
        return said(cluster, namespace, pod)

    assert [write_and_count("first"), write_and_count("second")] == ["1", "2"]


def test_a_namespace_that_enforces_restricted_refuses_a_pod_that_is_not(
    cluster: Cluster, namespace: str, box: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        with pytest.raises(ClusterFailed, match="violates PodSecurity"):
            cluster.kubectl("run", "careless", "--namespace", namespace, f"--image={box}")
    finally:
        cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce-")


def test_keda_makes_an_autoscaler_of_a_scaled_object(cluster: Cluster, namespace: str, greeter: str) -> None:
    apply(
        cluster,
        namespace,
        f"""
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata: {{name: {greeter}}}
        spec:
          scaleTargetRef: {{name: {greeter}}}
          minReplicaCount: 1
          maxReplicaCount: 3
          triggers:
            - type: cron
              metadata: {{timezone: Etc/UTC, start: 0 0 1 1 *, end: 59 23 31 12 *, desiredReplicas: "3"}}
        """,
    )
    named = ("--namespace", namespace, "--timeout=60s")
    cluster.kubectl("wait", "--for=condition=Ready", f"scaledobject/{greeter}", *named)
    cluster.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", f"deployment/{greeter}", *named)


def test_keda_refuses_a_scaled_object_without_triggers(cluster: Cluster, namespace: str) -> None:
    manifest = """
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata: {name: idle}
        spec:
          scaleTargetRef: {name: nobody}
          triggers:
            - {type: cpu, metricType: Utilization, metadata: {value: "50"}}
        """
    with pytest.raises(ClusterFailed, match="admission webhook"):
        apply(cluster, namespace, manifest)


def test_the_use_of_cpu_and_memory_is_known(cluster: Cluster) -> None:
    assert cluster.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
