/** docs/http.md does what it says: its commands are run, against a real server. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { json } from "node:stream/consumers";
import { expect, test } from "vitest";
import { statusOf } from "../../runtime/http/error.ts";
import { routes } from "../../runtime/http/routes.ts";
import { admin, anApi, type Body } from "./kit.ts";

const page = readFileSync(new URL("../../docs/http.md", import.meta.url), "utf8");

/** The commands that call the API, each with what the page says that it answers. */
const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)]
  .flatMap(([, block]) => block!.replaceAll("\\\n", "").replaceAll("|\n", "| ").split("\n"))
  .reduce<{ command: string; said: string | null }[]>((found, line) => {
    if (line.includes("curl ")) return [...found, { command: line, said: null }];
    if (line.startsWith("# {") && found.length > 0) found.at(-1)!.said = line.slice(2);
    return found;
  }, []);

async function ran(command: string, URL: string): Promise<Body> {
  const child = spawn("bash", ["-c", `set -euo pipefail; ${command}`], {
    env: { ...process.env, URL, TOKEN: admin },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [answer, [code]] = await Promise.all([json(child.stdout), once(child, "exit")]);
  expect(code).toBe(0);
  return answer as Body;
}

/** The fields of what the page prints, as far as it prints them: their names, and values that are short. */
function fieldsOf(said: string): readonly string[] {
  return [...said.matchAll(/"(\w+)":/g)].map(([, name]) => name!);
}

test("the commands of the page work, one after the other, and answer what it says", async () => {
  const api = await anApi();
  const answers: Body[] = [];

  for (const { command } of commands) answers.push(await ran(command, api.url));

  expect(commands.length).toBeGreaterThan(7);
  for (const [i, { command, said }] of commands.entries()) {
    const text = JSON.stringify(answers[i]);
    for (const field of said === null ? [] : fieldsOf(said))
      expect([command, text]).toEqual([command, expect.stringContaining(`"${field}":`)]);
  }
  expect(answers[1]!.run).toMatchObject({ status: "completed", result: { text: "hello Ada" } });
  expect(answers[2]!.items.map((item) => item.error?.code)).toEqual([undefined, "INVALID_PAYLOAD"]);
  expect(answers.at(-1)).toMatchObject({ status: 422, code: "INVALID_PAYLOAD", path: "payload.name" });
});

test("every code of the page is one that is answered, with the status that it says", () => {
  const rows = [...page.matchAll(/^\| (\d{3}[\d, ]*) \| (.*) \|$/gm)];
  const said = rows.flatMap(([, statuses, codes]) =>
    [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => [code!, statuses!] as const),
  );

  expect(said.length).toBeGreaterThan(15);
  for (const [code, statuses] of said)
    expect([code, statuses]).toEqual([code, expect.stringContaining(String(statusOf[code as keyof typeof statusOf]))]);
});

test("every address is spoken of", () => {
  const unsaid = routes
    .map(({ path }) =>
      path
        .replace("/api/v1", "")
        .split("/")
        .filter((part) => part !== "" && !part.startsWith("{")),
    )
    .filter((parts) => !parts.every((part) => page.includes(part)));

  expect(unsaid).toEqual([]);
});
