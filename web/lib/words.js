// Every word that the app says, in one place. Another language is another object of the same shape.

export const t = {
  app: "PhoneOps",
  skip: "Skip to what matters",
  tabs: { inbox: "Inbox", oncall: "On call", me: "Me", admin: "Admin" },
  back: "Back",
  busy: "One moment…",
  again: "Try again",
  offline: (/** @type {string} */ since) => `Offline. This is what was known ${since}; answers wait until you are back.`,
  offlineNothing: "Offline. Nothing is known yet.",
  notSent: "Not sent: you are offline.",
  openFailed: "This cannot be shown.",
  ended: "This device is not enrolled any more. Enrol it again with a new code.",
  nothingHere: "There is nothing here.",

  inbox: {
    title: "Inbox",
    empty: "Nothing waits for you.",
    emptyMore: "Pages and requests for approval appear here, and ring this phone.",
    approve: "Asks for your approval",
    acts: "Waits for your confirmation",
    device: "A new device of yours waits",
    from: (/** @type {string} */ who, /** @type {string} */ bot) => `${who} via ${bot}`,
    rings: (/** @type {number} */ count) => (count === 1 ? "Ringing" : `Ringing, ${count} times`),
    held: (/** @type {string} */ who) => `${who} has it`,
    snoozed: "Snoozed",
    resolved: "Resolved",
    low: "Can wait",
    pushOff: "This phone does not ring. Turn notifications on.",
    turnOn: "Turn on",
  },

  approval: {
    title: "Approval",
    asks: "asks, through",
    tag: "Compare with chat",
    for: (/** @type {string} */ who) => `You are asked for ${who}, who is away.`,
    reason: "Their own words",
    raw: "What is signed, exactly",
    approve: "Approve",
    deny: "Deny",
    report: "Not me",
    reportHint: "The requester did not ask this. It is denied, and what this bot asks for them stops until an administrator looks.",
    denyReason: "Why (they will read it)",
    optional: "optional",
    code: "The six digits that the requester was shown",
    passkeyInstead: "Use a passkey instead",
    codeWrong: (/** @type {number} */ left) => `That is not the code. ${left === 1 ? "One try" : `${left} tries`} left.`,
    quorum: (/** @type {number} */ have, /** @type {number} */ needed) => `${have} of ${needed} approved`,
    approvedBy: (/** @type {string} */ who) => `${who} approved`,
    you: "You approved. It waits for the others.",
    holds: (/** @type {string} */ when) => `Approved by enough people. It takes effect ${when}, unless somebody denies it.`,
    breakGlass: "The operator broke the glass",
    breakGlassUntil: (/** @type {string} */ when) => `It opens ${when}, unless somebody denies it.`,
    folded: "Another request like it rang instead of this one.",
    expires: "Time left to answer",
    over: {
      approved: (/** @type {string} */ who) => `Approved${who && ` by ${who}`}`,
      denied: (/** @type {string} */ who) => `Denied${who && ` by ${who}`}`,
      expired: "Nobody answered in time",
      cancelled: "Withdrawn",
      frozen: "Stopped: somebody reported this bot",
      opened: "Opened by break-glass: nobody approved",
    },
    outcome: { succeeded: "It was done", failed: "It was tried, and failed" },
    notYours: "Others are asked for this; you can watch it.",
  },

  incident: {
    title: "Page",
    take: "Acknowledge",
    resolve: "Resolve",
    escalate: "Escalate",
    snooze: "Snooze",
    note: "Note",
    reassign: "Reassign",
    notMe: "That was not me",
    reopen: "Re-open",
    reported: (/** @type {number} */ count) => `reported ${count} times`,
    since: (/** @type {string} */ when) => `since ${when}`,
    nextRing: (/** @type {string} */ when) => `Rings again ${when}`,
    ackedBy: (/** @type {string} */ who, /** @type {string} */ via) => `Acknowledged by ${who}${via && ` via ${via}`}`,
    resolvedBy: (/** @type {string} */ who, /** @type {string} */ via) => `Resolved by ${who}${via && ` via ${via}`}`,
    who: "Who is rung",
    now: "now",
    lastStep: "Everybody, until somebody answers",
    after: (/** @type {number} */ seconds) => `for ${Math.round(seconds / 60)} min`,
    details: "What was reported",
    links: "Where to look",
    timeline: "What happened",
    to: "To whom (empty: the next step)",
    toExample: "@ys, team:api",
    message: "Message",
    snoozeFor: "For how long",
    minutes: (/** @type {number} */ count) => (count < 60 ? `${count} min` : count === 60 ? "1 hour" : `${count / 60} hours`),
    noteText: "What should the others know?",
    send: "Send",
    cancel: "Cancel",
  },

  enrol: {
    title: "This phone on duty",
    what: (/** @type {string} */ host) => `${host} will page you on this phone and ask you to approve what your team does.`,
    code: "Enrolment code",
    codeHint: "24 letters and digits, from whoever invited you or from your other device.",
    name: "What do you call this device?",
    nameExample: "Yannick's phone",
    first: "You are the first here. Who are you?",
    handle: "Handle, as in chat",
    fullName: "Name",
    go: "Enrol this device",
    install: "First put PhoneOps on the home screen",
    installWhy: "An iPhone rings only for apps on its home screen, and such an app keeps its own keys.",
    installSteps: ["Tap the share button of the browser.", "Choose “Add to Home Screen”.", "Open PhoneOps from there and enter this code:"],
    installShort: "The code is good for ten minutes.",
    steps: { enrolled: "This device has its key", confirm: "Confirm it on your other device", passkey: "Make a passkey", push: "Let it ring", test: "Test page" },
    confirm: "Open PhoneOps on a device you already use. It asks for this number:",
    confirmLost: "No device left? Ask an administrator, or whoever runs the server.",
    passkey: "Your face or finger approves, on this device only.",
    passkeyNone: "This browser has no passkeys. You can be paged and deny, but not approve.",
    makePasskey: "Make a passkey",
    later: "Later",
    push: "PhoneOps rings through notifications. Nothing else is sent.",
    pushDenied: "Notifications were refused. In the settings of this browser, allow them for this site; then come back.",
    pushNone: "This browser cannot be rung.",
    allow: "Allow notifications",
    test: "A test page was sent to this phone. It counts once it has arrived.",
    sendTest: "Send a test page",
    arrived: "It arrived. You are on duty.",
    notArrived: "Nothing arrived within half a minute.",
    done: "Open the inbox",
  },

  me: {
    title: "Me",
    thisDevice: "this device",
    devices: "Devices",
    passkeys: "Passkeys",
    add: "Add another device",
    addHint: "Enter this code on the other device within ten minutes:",
    revoke: "Revoke",
    revokeSure: (/** @type {string} */ name) => `Revoke ${name}? It is signed out at once.`,
    reject: "Not mine",
    confirm: "Confirm",
    confirmNumber: "The number that the new device shows",
    lastUsed: (/** @type {string} */ when) => `used ${when}`,
    neverUsed: "not used yet",
    ringing: "Ringing",
    rings: "This phone rings.",
    test: "Send a test page",
    tested: (/** @type {number} */ count) => `Sent to ${count === 1 ? "one device" : `${count} devices`}.`,
    noPush: "It does not ring yet.",
    approvesFrom: (/** @type {string} */ when) => `It recovers you: it decides nothing until ${when}.`,
    chat: "Chat",
    chatCode: "Link code from chat",
    link: "Link",
    isThisYou: "Is this you?",
    unlink: "Unlink",
    noChat: "No chat identity is linked.",
    email: "E-mail, for when no device hears",
    save: "Save",
    saved: "Saved.",
    theme: "Appearance",
    themes: { auto: "As the system", light: "Light", dark: "Dark" },
    signOut: "Remove this device",
    signOutSure: "Remove this device? It will not ring and cannot approve any more.",
  },

  act: {
    title: "Confirm a change",
    confirm: "Confirm with passkey",
    done: "Done",
    gone: "It waits no longer.",
    kinds: {
      "policy.set": "A policy is changed",
      "policy.removed": "A policy is taken away",
      "team.member_added": "Somebody joins a team",
      "user.away": "Somebody is away, with a delegate",
      "enrollment.created": "An enrolment code is made",
      "recovery.started": "Somebody is recovered",
      "admin.created": "An administrator is made",
      "freeze.lifted": "A freeze is lifted",
    },
    code: "The code, shown this once:",
  },

  oncall: {
    title: "On call",
    empty: "No schedules yet.",
    gap: "Nobody",
    now: "Now",
    next: "Then",
    gapFrom: (/** @type {string} */ at) => `Nobody from ${at} on`,
  },
};

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "3 minutes ago", "in 2 hours". @param {string} at RFC 3339 @param {number} [now] milliseconds */
export function ago(at, now = Date.now()) {
  const seconds = Math.round((Date.parse(at) - now) / 1000);
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / length), unit);
}

/** "09:41" today, with its day otherwise. @param {string} at RFC 3339 */
export function when(at) {
  const time = new Date(at);
  return time.toDateString() === new Date().toDateString() ? clock.format(time) : day.format(time);
}

/** "4:59". @param {number} seconds */
export const countdown = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.max(0, Math.floor(seconds)) % 60).padStart(2, "0")}`;
