/** What the files of deploy/ name exists, and what they say holds together. */
import { expect, test } from "vitest";
import { parse as parseLine } from "../../cli/program.ts";
import { commands } from "../../cli/commands.ts";
import { options } from "../../cli/option.ts";
import { routes } from "../../runtime/http/routes.ts";
import { settings } from "../../sdk/setting.ts";
import { filesIn, health, read, seconds, stages, told, unit, yaml } from "./kit.ts";
import * as shape from "./shape.ts";

const files = filesIn("deploy");
const [{ services, secrets, volumes }] = yaml("deploy/compose.yaml", shape.compose);
const [deployment, budget] = yaml("deploy/kubernetes/worker.yaml", shape.deployment, shape.budget);
const [job] = yaml("deploy/kubernetes/migrate.yaml", shape.job);
const [scaler] = yaml("deploy/kubernetes/scale.yaml", shape.scaler);
const [service] = yaml("deploy/kubernetes/service.yaml", shape.service);
const [kustomization] = yaml("deploy/kubernetes/kustomization.yaml", shape.kustomization);
const pods = [deployment.spec.template.spec, job.spec.template.spec];
const [worker] = deployment.spec.template.spec.containers;
const executable = "node_modules/.bin/tasker";

/** Every command line of tasker in these files, as words after the executable. */
function lines(): readonly (readonly string[])[] {
  const list: readonly string[][] = [
    JSON.parse(told("CMD")[0]!) as string[],
    ...stages()[0]!
      .filter(({ rest }) => rest.startsWith(executable))
      .map(({ rest }) => rest.split(" ")),
    unit()
      .get("Service.ExecStart")![0]!
      .replace(/^\/srv\/shop\//, "")
      .split(" "),
    ...pods.map(({ containers: [{ args }] }) => args),
  ];
  return list.map(([first, ...words]) => {
    expect(first).toBe(executable);
    return words;
  });
}

test("each command line is one that tasker takes", () => {
  const parsed = lines().map((words) => parseLine(words, commands, "0").do);

  expect(parsed).toEqual(["run", "run", "run", "run", "run"]);
});

test("each variable is one that tasker reads", () => {
  const known = new Set(options.map(({ variable }) => variable));
  const sources = ["sdk", "runtime", "cli"].flatMap(filesIn).map(read).join("\n");

  const named = new Set(files.flatMap((file) => read(file).match(/TASKER_[A-Z_]*[A-Z]/g) ?? []));

  expect(named.size).toBeGreaterThan(3);
  expect([...named].filter((name) => !known.has(name) && !new RegExp(`\\b${name}\\b`).test(sources))).toEqual([]);
});

test("each address that is asked for is one that is served, on the port that is listened to", () => {
  const served = routes.map(({ path }) => path);
  const texts = files.map((file) => read(file).replace(/^\s*#.*$/gm, "")).join("\n");
  const asked = texts.match(/(?:\/api\/v1\/\w+|\/healthz|\/readyz|\/metrics|\/ws)\b/g)!;
  const ports = texts.match(/(?<=127\.0\.0\.1:|0\.0\.0\.0:|EXPOSE |[pP]ort: )\d+/g)!;

  expect(asked.length).toBeGreaterThan(6);
  expect(asked.filter((path) => !served.includes(path))).toEqual([]);
  expect(new Set(ports)).toEqual(new Set(["4747"]));
  expect(worker.ports).toEqual([{ name: "http", containerPort: 4747 }]);
});

test("whatever stops a process waits for longer than its grace, and a second", () => {
  const grace = settings.grace.default;
  const preStop = Number(worker.lifecycle.preStop.exec.command.at(-1));
  const environment = unit().get("Service.Environment")!.join(" ");
  const given = [
    services.worker.environment.TASKER_GRACE,
    /TASKER_GRACE=(\w+)/.exec(environment)?.[1],
    worker.env.flatMap((each) => (each.name === "TASKER_GRACE" && "value" in each ? [each.value] : []))[0],
  ];
  const stops = [
    seconds(services.worker.stop_grace_period),
    seconds(unit().get("Service.TimeoutStopSec")![0]),
    seconds(deployment.spec.template.spec.terminationGracePeriodSeconds) - preStop,
  ];

  expect(given).toEqual([grace, grace, grace]);
  expect(stops.filter((stop) => stop <= seconds(grace) + 1)).toEqual([]);
});

test("images of others have a version, and none is whatever is newest", () => {
  const base = told("FROM").concat(told("FROM", stages()[0]));
  const [, node] = /^ARG NODE=(\d+)$/m.exec(read("deploy/Dockerfile"))!;

  expect(Number(node)).toBeGreaterThanOrEqual(22);
  expect(base.every((image) => /^node:\$\{NODE\}-bookworm-slim( AS \w+)?$/.test(image))).toBe(true);
  expect([services.postgres.image, services.worker.image]).toEqual([expect.stringMatching(/^postgres:\d+$/), "shop"]);
  expect(files.filter((file) => /:latest\b/.test(read(file)))).toEqual([]);
});

test("the image runs as a user with a number, holds no secret and no package that nobody needs, and knows whether it is well", () => {
  const install = told("RUN", stages()[0]).find((line) => line.includes("npm ci"));

  expect(install).toMatch(/npm ci --omit=dev --omit=optional$/);
  expect(told("USER")).toEqual(["1000:1000"]);
  expect(told("VOLUME")).toEqual(["/data"]);
  expect(told("ENV").join(" ")).toMatch(/NODE_ENV=production TZ=UTC/);
  expect(told("ENV").concat(told("ARG")).join(" ")).not.toMatch(/url|token|password|secret/i);
  expect(health()[2]).toContain("http://127.0.0.1:4747/healthz");
  expect(stages().at(-1)!.at(-1)!.name).toBe("CMD");
});

test("what is secret or not needed does not get into the image", () => {
  const ignored = read("deploy/.dockerignore").split("\n");

  expect(ignored).toEqual(
    expect.arrayContaining(["secrets", "**/.env", "**/.env.*", "node_modules", ".git", ".tasker"]),
  );
});

test("compose: Postgres is well before tasker starts, nobody else reaches either, and all that is named is declared", () => {
  const { postgres, worker: own } = services;
  const used = [...postgres.secrets, ...own.secrets].sort();
  const { TASKER_DATABASE_URL_FILE, TASKER_TOKENS_FILE } = own.environment;
  const paths = [postgres.environment.POSTGRES_PASSWORD_FILE, TASKER_DATABASE_URL_FILE, TASKER_TOKENS_FILE];
  const mounted = [...postgres.volumes, ...own.volumes].map((volume) => volume.split(":", 1)[0]!);

  expect(own.depends_on).toEqual({ postgres: { condition: "service_healthy" } });
  expect(postgres.healthcheck.test.slice(0, 2)).toEqual(["CMD", "pg_isready"]);
  expect(postgres.ports).toBeUndefined();
  expect(own.ports.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
  expect(used).toEqual(Object.keys(secrets).sort());
  expect(paths.map((path) => path?.replace("/run/secrets/", "")).sort()).toEqual(used);
  expect(mounted.sort()).toEqual(Object.keys(volumes).sort());
  expect(own).toMatchObject({ read_only: true, tmpfs: ["/tmp"], cap_drop: ["ALL"], init: true });
});

test("Kubernetes: what belongs together has the same names", () => {
  const { labels } = deployment.spec.template.metadata;
  const selectors = [deployment.spec.selector.matchLabels, budget.spec.selector.matchLabels, service.spec.selector];
  const mounted = pods.flatMap((pod) => pod.volumes.flatMap((volume) => ("secret" in volume ? [volume.secret] : [])));

  for (const selector of selectors) expect(labels).toMatchObject(selector);
  expect(job.spec.template.metadata.labels).not.toMatchObject(service.spec.selector);
  expect(scaler.spec.scaleTargetRef).toEqual({ name: deployment.metadata.name });
  expect(mounted.map(({ secretName }) => secretName)).toEqual(["tasker", "tasker"]);
  expect(kustomization.resources).toEqual(["worker.yaml", "service.yaml"]);
  expect(kustomization.images.map(({ name }) => name)).toEqual([worker.image]);
});

test("Kubernetes: a pod is no root, and writes nowhere but where something is mounted", () => {
  for (const { securityContext, automountServiceAccountToken, volumes, containers } of pods) {
    const [container] = containers;
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
    expect(automountServiceAccountToken).toBe(false);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    const mounts = container.volumeMounts.map(({ name }) => name);
    expect(mounts).toEqual(volumes.map(({ name }) => name));
    expect(mounts).toContain("tmp");
  }
});

test("Kubernetes: only readiness looks beyond the process, and a rollout takes no worker away before its successor is ready", () => {
  const probes = [worker.startupProbe, worker.livenessProbe, worker.readinessProbe];

  expect(probes.map(({ httpGet }) => httpGet.path)).toEqual(["/healthz", "/healthz", "/readyz"]);
  expect(deployment.spec.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
  expect(budget.spec.maxUnavailable).toBe(1);
});

test("every file is spoken of in docs/deploy.md", () => {
  const page = read("docs/deploy.md");

  expect(files.length).toBeGreaterThan(8);
  expect(files.filter((file) => !page.includes(`(../${file})`))).toEqual([]);
});
