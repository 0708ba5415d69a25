package validate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// manifests are what a rendering of the chart contains, by kind.
type manifests struct {
	secrets  map[string]corev1.Secret
	services map[string]corev1.Service
	sets     map[string]appsv1.StatefulSet
	daemons  map[string]appsv1.DaemonSet
	deploys  map[string]appsv1.Deployment
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// render renders the chart as `helm install watch -n ops` does and decodes each
// document; a field that Kubernetes does not know, or one given twice, fails.
func render(t *testing.T, values map[string]any) manifests {
	t.Helper()
	files, err := files(t, values)
	if err != nil {
		t.Fatal(err)
	}
	m := manifests{map[string]corev1.Secret{}, map[string]corev1.Service{}, map[string]appsv1.StatefulSet{}, map[string]appsv1.DaemonSet{}, map[string]appsv1.Deployment{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for _, text := range separator.Split(files[name], -1) {
			if strings.TrimSpace(text) == "" {
				continue
			}
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			decode := func(out any) {
				t.Helper()
				asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
				if err != nil {
					t.Fatalf("%s: %s: %v\n%s", name, kind.Kind, err, text)
				}
				// As the API server does it: fields are told apart by case too.
				strict, err := json.UnmarshalStrict(asJSON, out)
				if err := errors.Join(append(strict, err)...); err != nil {
					t.Fatalf("%s: %s: %v\n%s", name, kind.Kind, err, text)
				}
			}
			switch kind.APIVersion + " " + kind.Kind {
			case "v1 Secret":
				var o corev1.Secret
				decode(&o)
				m.secrets[o.Name] = o
			case "v1 Service":
				var o corev1.Service
				decode(&o)
				m.services[o.Name] = o
			case "apps/v1 StatefulSet":
				var o appsv1.StatefulSet
				decode(&o)
				m.sets[o.Name] = o
			case "apps/v1 DaemonSet":
				var o appsv1.DaemonSet
				decode(&o)
				m.daemons[o.Name] = o
			case "apps/v1 Deployment":
				var o appsv1.Deployment
				decode(&o)
				m.deploys[o.Name] = o
			default:
				t.Fatalf("%s: no check is known for %s %s", name, kind.APIVersion, kind.Kind)
			}
		}
	}
	return m
}

// files are the chart's templates filled in with values.
func files(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	chart, err := loader.Load(filepath.Join(root, "deploy", "helm", "pharos"))
	if err != nil {
		t.Fatal(err)
	}
	if err := chart.Validate(); err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: "watch", Namespace: "ops", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return (engine.Engine{Strict: true}).Render(chart, all)
}

func TestAlarmReplicasShareDatabaseAndKey(t *testing.T) {
	for values, want := range map[string]string{
		"alarm: {replicas: 1}": "server.database",
		"server: {database: 'postgres://pharos:pw@pg/pharos'}\nalarm: {replicas: 1}": "server.secretKey",
	} {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(values), &v); err != nil {
			t.Fatal(err)
		}
		if _, err := files(t, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that names %s", values, err, want)
		}
	}
}

func TestHelmChart(t *testing.T) {
	for _, c := range []struct {
		name   string
		values string
		check  func(t *testing.T, m manifests)
	}{
		{"defaults", "", func(t *testing.T, m manifests) {
			secret := m.secrets["watch-server"].StringData
			if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(secret["cluster-key"]) {
				t.Errorf("the cluster key is %q; rpc.ParseClusterKey wants 32 characters, the chart promises 64 hexadecimal digits", secret["cluster-key"])
			}
			if len(secret["admin-password"]) < 12 {
				t.Errorf("the first password is %q", secret["admin-password"])
			}
			if again := render(t, nil).secrets["watch-server"].StringData; again["cluster-key"] == secret["cluster-key"] {
				t.Error("two installations have the same cluster key")
			}
			if len(m.daemons) != 1 || len(m.sets) != 1 || len(m.deploys) != 0 {
				t.Errorf("%d DaemonSets, %d StatefulSets, %d Deployments", len(m.daemons), len(m.sets), len(m.deploys))
			}
		}},
		{"databases", "server: {database: 'postgres://pharos:pw@pg/pharos', clickhouse: 'clickhouse://pharos:pw@ch:9000/pharos', retention: 90d, storage: {className: fast}}",
			func(t *testing.T, m manifests) {
				set := m.sets["watch"]
				server := set.Spec.Template.Spec.Containers[0]
				if !slices.Contains(server.Args, "--retention=90d") || strings.Contains(fmt.Sprint(server.Args), "pw") {
					t.Errorf("retention is missing, or a password is an argument: %q", server.Args)
				}
				secret := m.secrets["watch-server"].StringData
				from := map[string]string{}
				for _, e := range server.Env {
					if e.ValueFrom.SecretKeyRef.Name == "watch-server" {
						from[e.Name] = secret[e.ValueFrom.SecretKeyRef.Key]
					}
				}
				if from["PHAROS_DB"] != "postgres://pharos:pw@pg/pharos" || from["PHAROS_CLICKHOUSE"] != "clickhouse://pharos:pw@ch:9000/pharos" {
					t.Errorf("the databases come to the server as %q", from)
				}
				if class := set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName; class == nil || *class != "fast" {
					t.Errorf("storage class %v", class)
				}
			}},
		{"alarm replicas", "server: {database: 'postgres://pharos:pw@pg/pharos', secretKey: AAAA}\nalarm: {replicas: 3}", func(t *testing.T, m manifests) {
			alarm := m.deploys["watch-alarm"]
			if *alarm.Spec.Replicas != 3 {
				t.Errorf("%d replicas", *alarm.Spec.Replicas)
			}
			// What one seals the other must open.
			for name, args := range map[string][]string{"alarm": alarm.Spec.Template.Spec.Containers[0].Args, "server": m.sets["watch"].Spec.Template.Spec.Containers[0].Args} {
				if !slices.Contains(args, "--secret-key-file=/etc/pharos/secret/secret-key") {
					t.Errorf("%s has a secret key of its own: %q", name, args)
				}
			}
		}},
		{"existing secrets and alarm replicas", "server: {existingSecret: mine}\nalarm: {replicas: 1}", func(t *testing.T, m manifests) {
			if len(m.deploys) != 1 || !slices.Contains(m.sets["watch"].Spec.Template.Spec.Containers[0].Args, "--secret-key-file=/etc/pharos/secret/secret-key") {
				t.Error("the server has a secret key of its own")
			}
		}},
		{"existing secrets", "server: {existingSecret: mine}\nagent: {existingSecret: theirs}", func(t *testing.T, m manifests) {
			if len(m.secrets) != 0 {
				t.Errorf("secrets are made: %v", m.secrets)
			}
		}},
		{"no agent", "agent: {enabled: false}", func(t *testing.T, m manifests) {
			if len(m.daemons) != 0 || m.secrets["watch-agent"].Name != "" {
				t.Error("the agent is not left out")
			}
		}},
		{"agents", "image: {tag: 1.2.3}\nagent: {roots: [/srv/logs], labels: {az: a, cell: '7'}, nodeSelector: {pool: web}, joinToken: abc}", func(t *testing.T, m manifests) {
			pod := m.daemons["watch-agent"].Spec.Template.Spec
			for _, want := range []string{"--root=/srv/logs", "--label=az=a", "--label=cell=7"} {
				if !slices.Contains(pod.Containers[0].Args, want) {
					t.Errorf("%s is missing in %q", want, pod.Containers[0].Args)
				}
			}
			if pod.Containers[0].Image != "pharos-agent:1.2.3" || pod.NodeSelector["pool"] != "web" || m.secrets["watch-agent"].StringData["join-token"] != "abc" {
				t.Errorf("%+v", pod)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var values map[string]any
			if err := yaml.Unmarshal([]byte(c.values), &values); err != nil {
				t.Fatal(err)
			}
			m := render(t, values)
			for name, set := range m.sets {
				checkPod(t, m, name, set.Spec.Selector, set.Spec.Template, "pharos", set.Spec.VolumeClaimTemplates)
				if _, ok := m.services[set.Spec.ServiceName]; !ok {
					t.Errorf("StatefulSet %s: there is no service %q", name, set.Spec.ServiceName)
				}
			}
			for name, daemon := range m.daemons {
				checkPod(t, m, name, daemon.Spec.Selector, daemon.Spec.Template, "pharos-agent", nil)
				checkAgent(t, daemon.Spec.Template.Spec)
			}
			for name, deploy := range m.deploys {
				checkPod(t, m, name, deploy.Spec.Selector, deploy.Spec.Template, "pharos", nil)
			}
			checkServices(t, m)
			c.check(t, m)
		})
	}
}

// checkPod checks what holds for the pods of any workload of the chart.
func checkPod(t *testing.T, m manifests, name string, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec, binary string, claims []corev1.PersistentVolumeClaim) {
	t.Helper()
	matching(t, name, selector.MatchLabels, pod.Labels)
	if pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks {
		t.Errorf("%s: Kubernetes would add variables named after services, such as PHAROS_PORT, which the flags are read from too", name)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.Secret != nil {
			for _, item := range v.Secret.Items {
				checkSecret(t, m, name, v.Secret.SecretName, item.Key)
			}
		}
	}
	for _, c := range claims {
		volumes[c.Name] = true
	}
	for _, c := range pod.Spec.Containers {
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if probe != nil && (probe.HTTPGet == nil || !ports[probe.HTTPGet.Port.StrVal]) {
				t.Errorf("%s: a probe asks a port that %s does not have: %+v", name, c.Name, probe.HTTPGet)
			}
		}
		mounted := map[string]bool{}
		for _, v := range c.VolumeMounts {
			mounted[v.Name] = true
			if !volumes[v.Name] {
				t.Errorf("%s: there is no volume %q", name, v.Name)
			}
		}
		for v := range volumes {
			if !mounted[v] {
				t.Errorf("%s: volume %q is not mounted", name, v)
			}
		}
		var vars []string
		for _, e := range c.Env {
			vars = append(vars, e.Name)
			if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
				continue
			}
			if ref := e.ValueFrom.SecretKeyRef; ref.Optional == nil || !*ref.Optional {
				checkSecret(t, m, name, ref.Name, ref.Key)
			}
		}
		checkCommand(t, name, binary, c.Args, vars)
	}
}

// checkSecret checks that the chart's own secret has the key; one that exists
// already can't be looked into.
func checkSecret(t *testing.T, m manifests, where, name, key string) {
	t.Helper()
	secret, ok := m.secrets[name]
	if !ok {
		if name != "mine" && name != "theirs" {
			t.Errorf("%s: there is no secret %q", where, name)
		}
		return
	}
	if _, ok := secret.StringData[key]; !ok {
		t.Errorf("%s: secret %s has no key %q", where, name, key)
	}
}

func checkAgent(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	if !pod.HostNetwork || !pod.HostPID {
		t.Error("the agent does not see the node's network and processes")
	}
	paths := map[string]string{}
	for _, v := range pod.Volumes {
		if v.HostPath == nil {
			t.Errorf("volume %s of the agent is not on the node", v.Name)
			continue
		}
		paths[v.Name] = v.HostPath.Path
	}
	readable := map[string]bool{}
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.MountPath != paths[m.Name] {
			t.Errorf("%s of the node is seen as %s, so that monitors name wrong paths", paths[m.Name], m.MountPath)
		}
		if m.Name == "data" {
			if m.ReadOnly {
				t.Error("the agent can't keep what it has read")
			}
			continue
		}
		if !m.ReadOnly {
			t.Errorf("the agent may write to %s", m.MountPath)
		}
		readable[m.MountPath] = true
	}
	for _, arg := range pod.Containers[0].Args {
		if dir, ok := strings.CutPrefix(arg, "--root="); ok && !readable[dir] {
			t.Errorf("%s is not mounted", dir)
		}
	}
	if len(readable) == 0 {
		t.Error("no log directory is mounted")
	}
}

// checkServices checks that each service finds pods and ports of theirs, and
// that addresses in arguments are those of services.
func checkServices(t *testing.T, m manifests) {
	t.Helper()
	addresses := map[string]bool{}
	for name, service := range m.services {
		found := false
		for _, set := range m.sets {
			if !subset(service.Spec.Selector, set.Spec.Template.Labels) {
				continue
			}
			found = true
			for _, p := range service.Spec.Ports {
				has := func(c corev1.ContainerPort) bool { return c.Name == p.TargetPort.StrVal }
				if !slices.ContainsFunc(set.Spec.Template.Spec.Containers[0].Ports, has) {
					t.Errorf("service %s: no port %s", name, p.TargetPort.StrVal)
				}
			}
		}
		if !found {
			t.Errorf("service %s selects no pod", name)
		}
		for _, daemon := range m.daemons {
			if subset(service.Spec.Selector, daemon.Spec.Template.Labels) {
				t.Errorf("service %s selects agents", name)
			}
		}
		addresses[name+".ops.svc:9090"] = true
	}
	args := [][]string{}
	for _, s := range m.sets {
		args = append(args, s.Spec.Template.Spec.Containers[0].Args)
	}
	for _, d := range m.deploys {
		args = append(args, d.Spec.Template.Spec.Containers[0].Args)
	}
	for _, d := range m.daemons {
		args = append(args, d.Spec.Template.Spec.Containers[0].Args)
	}
	for _, arg := range slices.Concat(args...) {
		name, value, _ := strings.Cut(arg, "=")
		if (name == "--register" || name == "--advertise") && !addresses[value] {
			t.Errorf("%s: there is no such service", arg)
		}
	}
}

func matching(t *testing.T, name string, selector, labels map[string]string) {
	t.Helper()
	if len(selector) == 0 || !subset(selector, labels) {
		var b bytes.Buffer
		for k, v := range labels {
			b.WriteString(" " + k + "=" + v)
		}
		t.Errorf("%s: selector %v does not match%s", name, selector, b.String())
	}
}

func subset(part, whole map[string]string) bool {
	for k, v := range part {
		if whole[k] != v {
			return false
		}
	}
	return true
}
