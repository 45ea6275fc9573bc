/** Lists that come in pages, read to their end. */
import type { Page, Paging } from "../port/target.ts";

type Read<T> = (paging: Paging) => Promise<Page<T>>;

/** The pages of a list, from a cursor on. */
async function* pages<T>(read: Read<T>, cursor?: string): AsyncGenerator<Page<T>, void, undefined> {
  for (let from: string | null | undefined = cursor; from !== null;) {
    const page: Page<T> = await read({ limit: 200, cursor: from });
    yield page;
    from = page.next;
  }
}

/** The items of a list, page by page as they are read. */
export async function* each<T>(read: Read<T>): AsyncGenerator<T, void, undefined> {
  for await (const page of pages(read)) yield* page.items;
}

/** All pages as one, from a cursor on. */
export async function all<T>(read: Read<T>, cursor?: string): Promise<Page<T>> {
  const items: T[] = [];
  let complete = true;
  for await (const page of pages(read, cursor)) {
    items.push(...page.items);
    complete &&= page.complete;
  }
  return { items, next: null, complete };
}
