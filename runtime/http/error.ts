/** Errors as HTTP answers: problem+json of RFC 9457, with our code. */
import { InvalidInput, InvalidPayload, TaskerError, type Issue } from "../../sdk/port/error.ts";
import { fieldOf } from "../../sdk/port/text.ts";

/** The status of each code. What is not here is a fault of ours: 500. */
export const statusOf = {
  INVALID_INPUT: 400,
  INVALID_JSON: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  ORIGIN_REFUSED: 403,
  NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  RUN_NOT_FOUND: 404,
  SCHEDULE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CALLS_MIXED: 409,
  DIVERGED: 409,
  DUPLICATE_JOB: 409,
  JOURNAL_FULL: 409,
  KEY_CONFLICT: 409,
  LEASE_LOST: 409,
  RUN_CANCELED: 409,
  RUN_FAILED: 409,
  STEP_FAILED: 409,
  WRONG_STATE: 409,
  CHANGED: 412,
  TOO_LARGE: 413,
  UNSUPPORTED_TYPE: 415,
  UPGRADE_REQUIRED: 426,
  HOST_REFUSED: 421,
  INVALID_PAYLOAD: 422,
  NOT_STORABLE: 422,
  TOO_MANY_ATTEMPTS: 429,
  INTERNAL: 500,
  NOT_SUPPORTED: 501,
  NOT_CONFIGURED: 503,
  STOPPING: 503,
  STORE_UNAVAILABLE: 503,
  STORE_UNUSABLE: 503,
  TOO_MANY_STREAMS: 503,
  WAIT_TIMEOUT: 504,
} as const satisfies Readonly<Record<string, number>>;

export type Code = keyof typeof statusOf;

/** What only HTTP refuses: a credential, an origin, a type, a size. */
export class Refused extends TaskerError {
  readonly code: Code;
  /** Headers that belong to the answer, such as `Allow`. */
  readonly headers: Readonly<Record<string, string>>;
  constructor(code: Code, message: string, headers: Readonly<Record<string, string>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.headers = headers;
  }
}

/** The body of an error. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  /** What happened, to what, and what to do next. */
  readonly detail: string;
  readonly code: string;
  /** The field, dotted, where it is about one. */
  readonly path?: string;
  /** All that is wrong with a body or payload. */
  readonly issues?: readonly Issue[];
  /** The run that an act or key is about. */
  readonly run?: string;
  /** What that run is. */
  readonly state?: string;
}

/** An error as an answer's body. Whatever is not ours is told as `INTERNAL`, without a word of what it says. */
export function problemOf(error: unknown): Problem {
  const code = fieldOf(error, Symbol.for("tasker.error")) === true ? String(fieldOf(error, "code")) : "INTERNAL";
  const status = (statusOf as Readonly<Record<string, number>>)[code] ?? 500;
  const isOurs = code !== "INTERNAL";
  const [path, issues, run] = isOurs ? [pathOf(error), fieldOf(error, "issues"), fieldOf(error, "run")] : [];
  return {
    ...{ status, title: titles[status] ?? "Error" },
    detail: isOurs ? (error as Error).message : "the server failed; its log says why, and the call may be repeated",
    code,
    ...(typeof path === "string" && path !== "" && { path }),
    ...(Array.isArray(issues) && { issues: issues as readonly Issue[] }),
    ...(typeof run === "string" && { run }),
    ...(code === "WRONG_STATE" && { state: String(fieldOf(error, "status")) }),
  };
}

function pathOf(error: unknown): unknown {
  if (!(error instanceof InvalidPayload)) return fieldOf(error, "path");
  return ["payload", error.issues[0]?.path].filter(Boolean).join(".");
}

/** What zod says of one value. */
export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Fields that are not known. */
  readonly keys?: readonly string[];
}

/** The complaints of zod about what came over HTTP, as one error. */
export function invalidOf(what: string, found: readonly Complaint[]): InvalidInput {
  const issues = found.map(({ path, message, keys = [] }) => ({
    path: [...path, ...keys]
      .slice(0, path.length + 1)
      .map(String)
      .join("."),
    message,
  }));
  const said = issues.slice(0, 5).map(({ path, message }) => (path ? `${path}: ${message}` : message));
  const error = new InvalidInput(`${what} is not valid: ${said.join("; ")}; see /api/v1/openapi.json`, {
    path: issues[0]?.path || undefined,
  });
  return Object.assign(error, { issues });
}

export const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  426: "Upgrade Required",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
