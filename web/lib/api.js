// What the server answers, as far as the app looks at it (`/openapi.json` has all of it).

/** @typedef {{ id: string, handle: string, name: string }} Person */
/** @typedef {Person & { role: "admin" | "member", email?: string }} User */
/** @typedef {{ id: string, name: string, platform: string, state: string, match?: string, address?: string, expires_at?: string, approves_from?: string, enrolled_at?: string, last_used_at?: string }} Device */
/** @typedef {{ id: string, name: string, created_at: string, last_used_at?: string }} Passkey */

/**
 * @typedef {object} Display
 * @property {string} title
 * @property {{ label: string, value: string }[]} rows
 * @property {string} requester
 * @property {string} bot
 * @property {string} [reason]
 */

/**
 * @typedef {object} Approval
 * @property {string} id
 * @property {string} tag
 * @property {"pending" | "approved" | "denied" | "expired" | "cancelled"} state
 * @property {{ type: string, target: string, params: Record<string, unknown> }} action
 * @property {Person} requester
 * @property {{ id: string, name: string }} bot
 * @property {{ platform: string, workspace: string, room: string, message?: string }} [origin]
 * @property {string} action_sha256
 * @property {{ name: string }} policy
 * @property {"passkey" | "code" | "tap"} factor
 * @property {boolean} requester_approves
 * @property {{ needed: number, approvers: Person[] }[]} quorums
 * @property {Person[]} approvers
 * @property {{ by: Person, for: Person }[]} [delegations]
 * @property {{ by: Person, factor: string, at: string }[]} approvals
 * @property {Display} display
 * @property {string} created_at
 * @property {string} answer_by
 * @property {string} expires_at
 * @property {string} [holds_until]
 * @property {{ verdict: string, by: Person, at: string, reason?: string }} [decision]
 * @property {{ outcome: "succeeded" | "failed", detail?: string, at: string }} [outcome]
 * @property {string} [folded_into]
 * @property {string} [cancelled_because]
 * @property {{ at: string, until: string, reason: string }} [break_glass]
 */

/**
 * @typedef {object} Incident
 * @property {string} id
 * @property {string} ref
 * @property {string} title
 * @property {string} [details]
 * @property {string[]} links
 * @property {"high" | "low"} urgency
 * @property {"triggered" | "acknowledged" | "resolved"} state
 * @property {boolean} [snoozed]
 * @property {string} [service]
 * @property {string} [team]
 * @property {number} reports
 * @property {Record<string, string>} [labels]
 * @property {{ targets: { user?: Person, team?: string, schedule?: string }[], escalate_after_seconds?: number }[]} steps
 * @property {number} [step]
 * @property {Person[]} responders
 * @property {number} rings
 * @property {string} [rings_at]
 * @property {{ by?: Person, via?: { id: string, name: string }, integration?: string, at: string }} [acted]
 * @property {string} [merged_into]
 * @property {string} created_at
 */

/** @typedef {{ id: string, at: string, kind: string, text: string, actor: { kind: string, user?: string, bot?: string } }} Line */
/** @typedef {{ to: Person, device?: { name: string }, round: number, state: "waiting" | "accepted" | "received" | "displayed" | "opened" | "failed" | "withdrawn", created_at: string, finished_at?: string, received_at?: string, displayed_at?: string, opened_at?: string }} Delivery */
/** @typedef {{ schedule: string, team?: string, zone: string, now?: { who: Person, until?: string, made_by?: string }, next?: { who: Person, from: string }, gaps: { from: string, until: string }[] }} OnCall */

/** @typedef {{ id: string, state: string, why: string, change: Record<string, any>, created_at: string, expires_at: string, enrollment?: { code: string, link: string, expires_at: string } }} Act */

/**
 * Everything that the app calls, and all that it can: `session.js` refuses anything else, and `tests/spec.rs` looks each of these up in
 * `api-spec/openapi.yaml`.
 */
export const ROUTES = [
  "GET /v1/acts",
  "POST /v1/acts/{id}/challenge",
  "POST /v1/acts/{id}/confirm",
  "GET /v1/approvals",
  "GET /v1/approvals/{id}",
  "POST /v1/approvals/{id}/answers",
  "POST /v1/approvals/{id}/challenge",
  "GET /v1/approvals/{id}/deliveries",
  "GET /v1/approvals/{id}/receipt",
  "GET /v1/calendar-feeds",
  "POST /v1/calendar-feeds",
  "DELETE /v1/calendar-feeds/{id}",
  "GET /v1/chat-identities",
  "POST /v1/chat-identities",
  "POST /v1/chat-identities/look-up",
  "DELETE /v1/chat-identities/{id}",
  "GET /v1/devices",
  "DELETE /v1/devices/{id}",
  "POST /v1/devices/{id}/challenge",
  "POST /v1/devices/{id}/confirm",
  "PUT /v1/devices/{id}/name",
  "PUT /v1/devices/{id}/push",
  "POST /v1/devices/{id}/reject",
  "POST /v1/enrollments",
  "POST /v1/enrollments/claim",
  "GET /v1/events",
  "GET /v1/incidents",
  "POST /v1/incidents",
  "GET /v1/incidents/{ref}",
  "POST /v1/incidents/{ref}/acknowledge",
  "GET /v1/incidents/{ref}/deliveries",
  "POST /v1/incidents/{ref}/escalate",
  "POST /v1/incidents/{ref}/merge",
  "POST /v1/incidents/{ref}/not-me",
  "POST /v1/incidents/{ref}/notes",
  "POST /v1/incidents/{ref}/reassign",
  "POST /v1/incidents/{ref}/reopen",
  "POST /v1/incidents/{ref}/resolve",
  "POST /v1/incidents/{ref}/responders",
  "POST /v1/incidents/{ref}/snooze",
  "GET /v1/incidents/{ref}/timeline",
  "POST /v1/incidents/{ref}/urgency",
  "POST /v1/incidents/{ref}/wake",
  "GET /v1/me",
  "DELETE /v1/me/away",
  "PUT /v1/me/away",
  "PUT /v1/me/email",
  "GET /v1/me/paging-rules",
  "PUT /v1/me/paging-rules",
  "GET /v1/me/shifts",
  "POST /v1/me/test-page",
  "GET /v1/on-call",
  "GET /v1/passkeys",
  "POST /v1/passkeys",
  "POST /v1/passkeys/challenge",
  "DELETE /v1/passkeys/{id}",
  "POST /v1/receipts/{capability}",
  "GET /v1/schedules/{name}",
  "POST /v1/schedules/{name}/overrides",
  "DELETE /v1/schedules/{name}/overrides/{id}",
  "POST /v1/token",
  // For administrators.
  "GET /healthz",
  "GET /readyz",
  "GET /v1/bots",
  "POST /v1/bots",
  "DELETE /v1/bots/{id}",
  "POST /v1/bots/{id}/rotate",
  "GET /v1/carriers",
  "GET /v1/escalation-policies",
  "POST /v1/escalation-policies",
  "DELETE /v1/escalation-policies/{name}",
  "GET /v1/escalation-policies/{name}",
  "PUT /v1/escalation-policies/{name}",
  "GET /v1/freezes",
  "DELETE /v1/freezes/{id}",
  "GET /v1/journal",
  "GET /v1/journal/verification",
  "GET /v1/keys",
  "POST /v1/keys/rotate",
  "GET /v1/maintenance",
  "POST /v1/maintenance",
  "DELETE /v1/maintenance/{id}",
  "GET /v1/policies",
  "POST /v1/policies/test",
  "DELETE /v1/policies/{name}",
  "GET /v1/policies/{name}",
  "PUT /v1/policies/{name}",
  "GET /v1/readiness",
  "GET /v1/schedules",
  "POST /v1/schedules",
  "DELETE /v1/schedules/{name}",
  "PUT /v1/schedules/{name}",
  "GET /v1/schedules/{name}/shifts",
  "GET /v1/services",
  "POST /v1/services",
  "DELETE /v1/services/{name}",
  "GET /v1/services/{name}",
  "PUT /v1/services/{name}",
  "GET /v1/services/{name}/integrations",
  "POST /v1/services/{name}/integrations",
  "DELETE /v1/services/{name}/integrations/{integration}",
  "POST /v1/services/{name}/integrations/{integration}/rotate",
  "GET /v1/teams",
  "POST /v1/teams",
  "DELETE /v1/teams/{team}/members/{user}",
  "PUT /v1/teams/{team}/members/{user}",
  "GET /v1/users",
  "POST /v1/users",
  "DELETE /v1/users/{user}",
  "GET /v1/users/{user}",
  "DELETE /v1/users/{user}/away",
  "PUT /v1/users/{user}/away",
  "GET /v1/users/{user}/devices",
  "PUT /v1/users/{user}/email",
  "GET /v1/users/{user}/paging-rules",
  "POST /v1/users/{user}/recover",
  "PUT /v1/users/{user}/role",
  "GET /v1/webhooks",
  "POST /v1/webhooks",
  "DELETE /v1/webhooks/{id}",
  "GET /v1/webhooks/{id}",
  "POST /v1/webhooks/{id}/enable",
  "POST /v1/webhooks/{id}/rotate",
  "POST /v1/webhooks/{id}/test",
];

/** @type {Map<string, RegExp[]>} what each method may call */
const known = new Map();
for (const route of ROUTES) {
  const [method = "", path = ""] = route.split(" ");
  const pattern = path.split(/\{[a-z_]+\}/).map((part) => part.replaceAll(".", "\\.")).join("[^/?#]+");
  known.set(method, [...(known.get(method) ?? []), new RegExp(`^${pattern}$`)]);
}

/** Whether the app may call this. @param {string} method @param {string} path with its query or without */
export const documented = (method, path) => (known.get(method) ?? []).some((pattern) => pattern.test(path.split(/[?#]/, 1)[0] ?? ""));
