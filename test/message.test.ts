/** What docs/troubleshooting.md quotes is what the code says. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");

test("each text that docs/troubleshooting.md quotes is one of the code's, word for word", () => {
  const quoted = [...page.matchAll(/^```text\n(.*?)^```$/gms)].flatMap(([, text]) => text!.trimEnd().split("\n"));
  const said = ["sdk", "runtime", "cli"].flatMap(filesIn).flatMap((file) => messagesOf(readFileSync(file, "utf8")));

  expect(quoted.length).toBeGreaterThan(30);
  expect(quoted.filter((text) => !isSaid(text, said))).toEqual([]);
});

test.each([
  ['throw new Error(`run "${id}" is gone`);', 'run "…" is gone', true],
  ['throw new Error(`run "${id}" is gone; ${hint}`);', 'run "…" is gone', true],
  ['const said = `${a ? "gone" : "lost"} ` + "for " + how;', "lost for …", true],
  ['throw new Error(`run "${id}" is gone`);', 'run "…" has gone', false],
  ["// run is gone", "run is gone", false],
])("of %s, %s is said: %s", (source, text, is) => {
  expect(isSaid(text, messagesOf(source))).toBe(is);
});

function filesIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(root, folder, name));
}

/** Whether a text occurs in a message. At its ends … may stand for more than the message has there. */
function isSaid(text: string, messages: readonly string[]): boolean {
  const core = text.replace(/^…[;:]? ?/, "").replace(/ ?…$/, "");
  return messages.some((message) => message.includes(core));
}

/** All texts of a source, with … for what is known only when it runs. */
function messagesOf(source: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const texts = textsOf(node);
    if (texts) found.push(...texts);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("source.ts", source, ts.ScriptTarget.Latest, true));
  return found.map((text) => text.replace(/…+/g, "…"));
}

/** What an expression may come to; null for what is no text. */
function textsOf(node: ts.Node): readonly string[] | null {
  const part = (each: ts.Node): readonly string[] => textsOf(each) ?? ["…"];
  const joined = (lists: readonly (readonly string[])[]): readonly string[] =>
    lists.reduce((before, list) => before.flatMap((text) => list.map((more) => text + more)));
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
  if (ts.isConditionalExpression(node)) return [...part(node.whenTrue), ...part(node.whenFalse)];
  if (ts.isTemplateExpression(node))
    return joined([
      [node.head.text],
      ...node.templateSpans.flatMap((span) => [part(span.expression), [span.literal.text]]),
    ]);
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken)
    return joined([part(node.left), part(node.right)]);
  return null;
}
