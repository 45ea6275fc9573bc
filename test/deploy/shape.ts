/** What the YAML files of deploy/ may have, strictly: a key with a slip of the pen is refused, as a server with validation on does. */
import { z } from "zod";

const text = z.string().min(1);
const [texts, span, whole] = [z.array(text), z.string().regex(/^\d+[sm]$/), z.int().min(1)];
const named = z.strictObject({ name: text });

export const compose = z.strictObject({
  services: z.strictObject({
    postgres: z.strictObject({
      ...{ image: text, restart: z.literal("unless-stopped"), secrets: texts, volumes: texts, shm_size: text },
      ...{ ports: texts.optional(), stop_grace_period: span },
      environment: z.strictObject({ POSTGRES_USER: text, POSTGRES_DB: text, POSTGRES_PASSWORD_FILE: text }),
      healthcheck: z.strictObject({ test: texts, interval: span, timeout: span, start_period: span, retries: whole }),
    }),
    worker: z.strictObject({
      ...{
        image: text,
        build: text,
        restart: z.literal("unless-stopped"),
        secrets: texts,
        volumes: texts,
        ports: texts,
      },
      ...{ init: z.boolean(), read_only: z.boolean(), tmpfs: texts, cap_drop: texts, security_opt: texts },
      depends_on: z.record(text, z.strictObject({ condition: text })),
      environment: z.record(text, text),
      stop_grace_period: span,
    }),
  }),
  secrets: z.record(text, z.strictObject({ file: text })),
  volumes: z.record(text, z.null()),
});

const labels = z.record(text, text);
const selector = z.strictObject({ matchLabels: labels });
const amounts = z.strictObject({ cpu: text.optional(), memory: z.string().regex(/^\d+Mi$/) });
const probe = z.strictObject({
  httpGet: z.strictObject({ path: text, port: z.literal("http") }),
  ...{ periodSeconds: whole, timeoutSeconds: whole.optional(), failureThreshold: whole.optional() },
});
const container = z.strictObject({
  ...{ name: text, image: text, args: texts },
  env: z.array(
    z.union([
      z.strictObject({ name: text, value: text }),
      z.strictObject({ name: text, valueFrom: z.strictObject({ fieldRef: z.strictObject({ fieldPath: text }) }) }),
    ]),
  ),
  resources: z.strictObject({ requests: amounts, limits: amounts }),
  securityContext: z.strictObject({
    ...{ allowPrivilegeEscalation: z.boolean(), readOnlyRootFilesystem: z.boolean() },
    capabilities: z.strictObject({ drop: texts }),
  }),
  volumeMounts: z.array(z.strictObject({ name: text, mountPath: text, readOnly: z.boolean().optional() })),
});
const worker = z.strictObject({
  ...container.shape,
  ports: z.array(z.strictObject({ name: text, containerPort: whole })),
  ...{ startupProbe: probe, livenessProbe: probe, readinessProbe: probe },
  lifecycle: z.strictObject({ preStop: z.strictObject({ exec: z.strictObject({ command: texts }) }) }),
});
const pod = {
  automountServiceAccountToken: z.boolean(),
  securityContext: z.strictObject({
    ...{ runAsNonRoot: z.boolean(), runAsUser: whole, runAsGroup: whole, fsGroup: whole },
    seccompProfile: z.strictObject({ type: text }),
  }),
  volumes: z.array(
    z.union([
      z.strictObject({ name: text, secret: z.strictObject({ secretName: text, defaultMode: z.int() }) }),
      z.strictObject({ name: text, emptyDir: z.strictObject({}) }),
    ]),
  ),
};

function kind<const Version extends string, const Kind extends string, Spec extends z.ZodType>(
  apiVersion: Version,
  name: Kind,
  spec: Spec,
) {
  const metadata = z.strictObject({ name: text, labels: labels.optional() });
  return z.strictObject({ apiVersion: z.literal(apiVersion), kind: z.literal(name), metadata, spec });
}

const spread = { maxSkew: whole, topologyKey: text, whenUnsatisfiable: text, labelSelector: selector };

export const deployment = kind(
  "apps/v1",
  "Deployment",
  z.strictObject({
    ...{ replicas: whole, selector },
    strategy: z.strictObject({
      type: z.literal("RollingUpdate"),
      rollingUpdate: z.strictObject({ maxSurge: z.int(), maxUnavailable: z.int() }),
    }),
    template: z.strictObject({
      metadata: z.strictObject({ labels }),
      spec: z.strictObject({
        ...pod,
        terminationGracePeriodSeconds: whole,
        topologySpreadConstraints: z.array(z.strictObject(spread)),
        containers: z.tuple([worker]),
      }),
    }),
  }),
);

export const budget = kind("policy/v1", "PodDisruptionBudget", z.strictObject({ maxUnavailable: whole, selector }));

export const service = kind(
  "v1",
  "Service",
  z.strictObject({
    selector: labels,
    ports: z.tuple([z.strictObject({ name: text, port: whole, targetPort: z.literal("http") })]),
  }),
);

export const job = kind(
  "batch/v1",
  "Job",
  z.strictObject({
    ...{ backoffLimit: whole, activeDeadlineSeconds: whole, ttlSecondsAfterFinished: whole },
    template: z.strictObject({
      metadata: z.strictObject({ labels }),
      spec: z.strictObject({ ...pod, restartPolicy: z.literal("Never"), containers: z.tuple([container]) }),
    }),
  }),
);

const policies = z.array(z.strictObject({ type: z.enum(["Pods", "Percent"]), value: whole, periodSeconds: whole }));

export const scaler = kind(
  "keda.sh/v1alpha1",
  "ScaledObject",
  z.strictObject({
    scaleTargetRef: named,
    ...{ minReplicaCount: whole, maxReplicaCount: whole, pollingInterval: whole },
    fallback: z.strictObject({ failureThreshold: whole, replicas: whole }),
    advanced: z.strictObject({
      horizontalPodAutoscalerConfig: z.strictObject({
        behavior: z.strictObject({
          scaleUp: z.strictObject({ policies }),
          scaleDown: z.strictObject({ policies, stabilizationWindowSeconds: whole }),
        }),
      }),
    }),
    triggers: z.tuple([
      z.strictObject({
        ...{ type: z.literal("prometheus"), metricType: z.literal("Value") },
        metadata: z.strictObject({
          ...{ serverAddress: z.url(), query: text },
          ...{ threshold: z.string().regex(/^\d+$/), activationThreshold: z.string().regex(/^\d+$/) },
        }),
      }),
    ]),
  }),
);

export const kustomization = z.strictObject({
  apiVersion: z.literal("kustomize.config.k8s.io/v1beta1"),
  kind: z.literal("Kustomization"),
  resources: texts,
  images: z.array(z.strictObject({ name: text, newName: text, newTag: text })),
});
