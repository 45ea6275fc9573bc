import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { isAllowed, isUsable, listOf } from "../../runtime/webhook/address.ts";
import { hooksOf } from "../../runtime/webhook/hook.ts";
import { headersOf, keyOf } from "../../runtime/webhook/sign.ts";
import { InvalidInput } from "../../sdk/port/error.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const good = { url: "https://example.com/hook?token=abc", events: ["run.failed"], secret };

describe("an address", () => {
  const none = listOf([])!;

  test.each([
    ...["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1"],
    ...["0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "240.0.0.1"],
    ...[
      "::1",
      "::",
      "fe80::1",
      "fc00::1",
      "fd12:3456::1",
      "ff02::1",
      "2001:db8::1",
      "2002:7f00:1::",
      "64:ff9b::7f00:1",
    ],
    ...[
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "::ffff:10.0.0.1",
      "::FFFF:a9fe:a9fe",
      "::127.0.0.1",
      "2001::1",
      "x",
      "1.2.3",
    ],
  ])("%s is not used", (address) => {
    expect(isUsable(address, none)).toBe(false);
  });

  test.each([
    ...["8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001:800::200e"],
    ...["::ffff:8.8.8.8", "::ffff:808:808"],
  ])("%s is", (address) => {
    expect(isUsable(address, none)).toBe(true);
  });

  test("is used if it was allowed, however it is written, and no other is", () => {
    const allowed = listOf(["10.1.0.0/16", "127.0.0.1", "fd00::/8"])!;
    const own = ["10.1.2.3", "127.0.0.1", "::ffff:10.1.0.9", "::ffff:7f00:1", "fd12::1"];

    expect(own.filter((one) => !isAllowed(one, allowed))).toEqual([]);
    expect(["10.2.0.1", "127.0.0.2", "fe80::1", "::1"].filter((one) => isUsable(one, allowed))).toEqual([]);
    expect([isAllowed("8.8.8.8", allowed), isUsable("8.8.8.8", allowed)]).toEqual([false, true]);
  });

  test("of IPv4 is judged alike in all ways to write it as one of IPv6", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a, b, c, d] = address.split(".").map(Number) as [number, number, number, number];
        const hex = `::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;

        const all = [address, `::ffff:${address}`, hex].map((one) => isUsable(one, none));
        expect(new Set(all).size).toBe(1);
      }),
    );
  });

  test.each(["10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/8/8", "10.0.0.0/", "host", "10.0.0.0/x"])(
    "the network %s is none",
    (network) => {
      expect(listOf([network])).toBeNull();
    },
  );
});

describe("a signature", () => {
  test("is one that the library of the specification takes, by any of its keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.uint8Array({ minLength: 24, maxLength: 64 }), (value, bytes) => {
        const body = JSON.stringify({ value });
        const newer = `whsec_${Buffer.from(bytes).toString("base64")}`;
        const headers = headersOf("run_7", Math.floor(Date.now() / 1000), body, [keyOf(newer)!, keyOf(secret)!]);

        for (const one of [newer, secret]) expect(new Webhook(one).verify(body, headers)).toEqual(JSON.parse(body));
        expect(() => new Webhook(newer).verify(`${body} `, headers)).toThrow("No matching signature");
      }),
    );
  });

  test.each([
    ...[undefined, "", "secret", "whsec_", "whsec_c2hvcnQ=", `whsec_${Buffer.alloc(65).toString("base64")}`],
    `whsec_${"!".repeat(40)}`,
  ])("%j is no secret", (text) => {
    expect(keyOf(text)).toBeNull();
  });
});

describe("webhooks", () => {
  test("have an id of their host and a hash, without what may be secret in a path", () => {
    const [one, two, named] = hooksOf([good, { ...good, url: "https://example.com/other" }, { ...good, id: "alerts" }]);

    expect(one!.id).toMatch(/^example\.com-[0-9a-f]{6}$/);
    expect(two!.id).not.toBe(one!.id);
    expect(named!.id).toBe("alerts");
  });

  test("take types of events, and groups of them", () => {
    const [one] = hooksOf([{ ...good, events: ["run.failed", "node.*", "run.failed"], filter: { tags: ["a"] } }]);

    expect(one!.filter).toEqual({
      types: ["run.failed", "node.started", "node.stopping", "node.stopped"],
      tags: ["a"],
    });
  });

  test.each([
    ["{}", /webhooks are not a list/],
    [[{ ...good, url: "ftp://example.com" }], /webhooks\.0\.url is not an address/],
    [[{ ...good, url: "http://example.com" }], /is http, which anybody on the way can read/],
    [[{ ...good, url: "https://u:p@example.com" }], /has a password in it/],
    [[{ ...good, events: [] }], /webhooks\.0\.events are not a list/],
    [[{ ...good, events: ["run.faild"] }], /"run\.faild" is no event; did you mean "run\.failed"/],
    [[{ ...good, secret: "hunter2" }], /webhooks\.0\.secret is not "whsec_"/],
    [[{ ...good, secret: [] }], /webhooks\.0\.secret is not/],
    [[{ ...good, allow: "10.0.0.0/8" }], /webhooks\.0\.allow is not a list/],
    [[{ ...good, allow: ["intranet"] }], /webhooks\.0\.allow is not a list/],
    [[{ ...good, filter: { job: "a" } }], /has no option "job"; did you mean "jobs"/],
    [[{ ...good, filter: { jobs: "a" } }], /webhooks\.0\.filter\.jobs "a" is not a list/],
    [[{ ...good, event: [] }], /has no option "event"; did you mean "events"/],
    [[good, good], /two webhooks have the id "example\.com-/],
    [[secret], /webhooks\.0 is not an object/],
  ])("of case %# are refused, and no secret is told", (given, message) => {
    const refusal = thrown(() => hooksOf(given));

    expect(refusal).toBeInstanceOf(InvalidInput);
    expect((refusal as Error).message).toMatch(message);
    expect((refusal as Error).message).not.toMatch(/hunter2|BwcH|token=abc/);
  });
});

function thrown(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}
