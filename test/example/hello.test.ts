import { afterAll, beforeAll, expect, test } from "vitest";
import { hello } from "../../examples/hello/hello.ts";
import { example, node, running, type Running } from "./kit.ts";

let own: Running;
beforeAll(async () => {
  own = await running([hello]);
});
afterAll(() => own.stop());

test("hello answers with a greeting", async () => {
  const run = await hello.trigger({ name: "Ada" });

  expect(await run.result({ timeout: "10s" })).toBe("Hello, Ada!");
});

test("hello's script, in another process, prints the run and its result, and exits", async () => {
  const tsx = import.meta.resolve("tsx");

  const { code, output } = await node(own.url, "--import", tsx, example("hello/_trigger.ts"), "Grace").ended;

  expect(output).toMatch(/run_\w+ Hello, Grace!/);
  expect(code).toBe(0);
});
