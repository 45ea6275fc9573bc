/** Which addresses a webhook may be sent to: those that anybody can reach, and those that were allowed. */
import { BlockList, isIP } from "node:net";

/** Networks for special purposes, of IPv4 and of IPv6 within the global 2000::/3; what is not within that is none of the internet's. */
const special = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...["192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"],
  ...["224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"],
];
const closed = listOf(special)!;
const global = listOf(["2000::/3"])!;

/** Networks such as `10.0.0.0/8`, and addresses; null if one is neither. */
export function listOf(networks: readonly string[]): BlockList | null {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits, ...more] = network.split("/");
    const version = isIP(address);
    const most = version === 4 ? 32 : 128;
    if (version === 0 || more.length > 0 || (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most)))
      return null;
    list.addSubnet(address, bits === undefined ? most : Number(bits), version === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

/** Whether an address may be used: any on the internet, and those of `allowed`. */
export function isUsable(address: string, allowed: BlockList): boolean {
  const plain = unmapped(address);
  const family = isIP(plain) === 4 ? "ipv4" : "ipv6";
  if (isIP(plain) === 0) return false;
  if (allowed.check(plain, family)) return true;
  return !closed.check(plain, family) && (family === "ipv4" || global.check(plain, family));
}

/** Whether an address is one of `allowed`. */
export function isAllowed(address: string, allowed: BlockList): boolean {
  const plain = unmapped(address);
  return isIP(plain) !== 0 && allowed.check(plain, isIP(plain) === 4 ? "ipv4" : "ipv6");
}

/** An IPv4 address that is written as one of IPv6, as such. */
function unmapped(address: string): string {
  const [, dotted, high, low] = /^::ffff:(?:([\d.]+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(address) ?? [];
  if (dotted !== undefined) return dotted;
  if (high === undefined || low === undefined) return address;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join(".");
}
