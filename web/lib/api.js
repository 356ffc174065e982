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

export {};
