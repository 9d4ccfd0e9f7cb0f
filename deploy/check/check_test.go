package check

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// The Compose file holds to the specification's schema, and everything that it mounts is there.
func TestCompose(t *testing.T) {
	env := []string{"HUB_TOKEN=a", "INFLUX_TOKEN=b", "POSTGRES_PASSWORD=c", "INFLUX_PASSWORD=d", "GRAFANA_PASSWORD=e", "PROMETHEUS_TOKEN=f"}
	o, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithEnv(env), cli.WithProfiles([]string{"demo"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ingest", "rules", "api", "gateway", "mosquitto", "nats-1", "nats-2", "nats-3", "influxdb", "postgres", "prometheus", "grafana", "simulator"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != "bind" {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts %v", name, err)
			}
		}
		if s.Image == "faultline:latest" && (!s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.HealthCheck == nil) {
			t.Errorf("%s: read only %t, capabilities dropped %v, health check %v", name, s.ReadOnly, s.CapDrop, s.HealthCheck)
		}
	}
}

// Every Kubernetes object holds to its type, unknown keys are errors, and what names another object names one that is there.
func TestKubernetes(t *testing.T) {
	var k struct {
		Resources []string `json:"resources"`
		Maps      []struct {
			Name  string   `json:"name"`
			Files []string `json:"files"`
		} `json:"configMapGenerator"`
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Namespace  string           `json:"namespace"`
		Images     []map[string]any `json:"images"`
	}
	read(t, "kustomization.yaml", &k)
	maps := map[string]bool{}
	for _, m := range k.Maps {
		maps[m.Name] = true
		for _, f := range m.Files {
			if _, err := os.Stat(filepath.Join("../kubernetes", f)); err != nil {
				t.Error(err)
			}
		}
	}
	kinds := map[string]int{}
	budgets, labels := map[string]bool{}, map[string]int32{}
	for _, f := range k.Resources {
		b, err := os.ReadFile(filepath.Join("../kubernetes", f))
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range bytes.Split(b, []byte("\n---\n")) {
			var head struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
			}
			if err := yaml.Unmarshal(doc, &head); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			kinds[head.Kind]++
			pod := func(app string, replicas *int32, s *core.PodSpec) {
				labels[app] = *replicas
				checkPod(t, app, s, maps)
			}
			var into any
			var then func()
			switch head.APIVersion + " " + head.Kind {
			case "v1 Namespace":
				into = &core.Namespace{}
			case "v1 Service":
				into = &core.Service{}
			case "apps/v1 Deployment":
				d := &apps.Deployment{}
				into, then = d, func() { pod(d.Spec.Template.Labels["app"], d.Spec.Replicas, &d.Spec.Template.Spec) }
			case "apps/v1 StatefulSet":
				s := &apps.StatefulSet{}
				into, then = s, func() { pod(s.Spec.Template.Labels["app"], s.Spec.Replicas, &s.Spec.Template.Spec) }
			case "policy/v1 PodDisruptionBudget":
				d := &policy.PodDisruptionBudget{}
				into, then = d, func() { budgets[d.Spec.Selector.MatchLabels["app"]] = true }
			case "networking.k8s.io/v1 NetworkPolicy":
				into = &network.NetworkPolicy{}
			default:
				t.Fatalf("%s: %s %s is checked by nobody", f, head.APIVersion, head.Kind)
			}
			if err := yaml.UnmarshalStrict(doc, into); err != nil {
				t.Fatalf("%s: %s: %v", f, head.Kind, err)
			}
			if then != nil {
				then()
			}
		}
	}
	for app, n := range labels {
		if n > 1 && !budgets[app] {
			t.Errorf("%s has %d replicas and no disruption budget", app, n)
		}
	}
	if labels["nats"] != 3 || labels["ingest"] < 2 || labels["rules"] < 2 || kinds["NetworkPolicy"] == 0 {
		t.Errorf("replicas %v, kinds %v", labels, kinds)
	}
}

func checkPod(t *testing.T, app string, s *core.PodSpec, maps map[string]bool) {
	t.Helper()
	if s.SecurityContext == nil || s.SecurityContext.RunAsNonRoot == nil || !*s.SecurityContext.RunAsNonRoot {
		t.Errorf("%s may run as root", app)
	}
	for _, v := range s.Volumes {
		if v.ConfigMap != nil && !maps[v.ConfigMap.Name] {
			t.Errorf("%s mounts config map %q, which is not there", app, v.ConfigMap.Name)
		}
	}
	for _, c := range s.Containers {
		if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.StartupProbe == nil {
			t.Errorf("%s has no probe of each kind", app)
		}
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("%s writes to its root", app)
		}
	}
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(filepath.Join("../kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !strings.HasPrefix(string(b), "#") {
		t.Errorf("%s does not say what it is", name)
	}
}
