#!/usr/bin/env bash
# Runs a command once a person has approved it on their phone, by the HTTP gate alone (api-spec/gate.md), with bash, curl and jq.
# `phoneops exec` does the same and more: it binds the grant to a key of its own, and it keeps the token from the command.
#
#   gate.sh '{"type": "deploy", "target": "production", "params": {"app": "api"}}' ./deploy api
#
# PHONEOPS_SERVER, PHONEOPS_TOKEN and PHONEOPS_REQUESTER (@handle) are in the environment. Whatever goes wrong, the command is not run: 120
# denied, 121 nobody answered, 122 withdrawn, 123 the grant is not good, 124 refused, 125 in doubt.
set -euo pipefail
: "${PHONEOPS_SERVER:?}" "${PHONEOPS_TOKEN:?}" "${PHONEOPS_REQUESTER:?}"
action=$(jq -ce 'objects' <<<"${1:?the action, a JSON object}") || { echo 'gate: the action is no JSON object' >&2; exit 124; }
shift
(($# > 0)) || { echo 'gate: which command?' >&2; exit 124; }

token=$PHONEOPS_TOKEN
unset PHONEOPS_TOKEN
key=$(tr -d - </proc/sys/kernel/random/uuid)

stop() {
    printf 'gate: not run: %s\n' "$2" >&2
    exit "$1"
}

# call METHOD PATH [BODY]: the status in $status and the body in $body. Neither the token nor a grant is on a command line.
call() {
    local reply data=()
    [[ $# -lt 3 ]] || data=(--header "Idempotency-Key: $key" --header 'Content-Type: application/json' --data-binary @-)
    reply=$(curl --silent --show-error --max-time 40 --retry 5 --retry-connrefused --write-out '\n%{http_code}' --request "$1" \
        --header @<(printf 'Authorization: Bearer %s\n' "$token") "${data[@]}" \
        "$PHONEOPS_SERVER$2" <<<"${3:-}") || stop 125 'PhoneOps does not answer'
    status=${reply##*$'\n'} body=${reply%$'\n'*}
}
member() { jq -r "$1 // empty" <<<"$body" 2>/dev/null || true; }

# Whoever ends this takes the request back. Where the answer is still to come, the same call says which request it is.
id='' asked=''
cancel() {
    trap '' INT TERM HUP
    if [[ -n $asked ]]; then
        [[ -n $id ]] || { call POST /v1/approvals "$ask"; id=$(member .id); }
        call DELETE "/v1/approvals/$id"
        [[ $status == 204 ]] || printf 'gate: the request still waits: %s\n' "$(member .detail)" >&2
    fi
    exit 130
}
trap cancel INT TERM HUP

ask=$(jq -nc --argjson action "$action" --arg requester "$PHONEOPS_REQUESTER" '{action: $action, requester: $requester}')
asked=yes
call POST /v1/approvals "$ask"
[[ $status == 20[01] ]] || stop 124 "$(member .detail)"
id=$(member .id)
[[ $id == apr_* ]] || stop 125 'the answer is unclear'
printf 'gate: request %s waits on the phone\n' "$(member .tag)" >&2
code=$(member .code)
[[ -z $code ]] || printf 'gate: type the code %s there\n' "$code" >&2

while state=$(member .state); [[ $state == pending ]]; do
    call GET "/v1/approvals/$id?wait=25"
    [[ $status == 200 ]] || stop 125 "$(member .detail)"
done
case $state in
approved) ;;
denied) stop 120 "denied by $(member .decision.by.name): $(member .decision.reason)" ;;
expired) stop 121 'nobody answered in time' ;;
cancelled) stop 122 'the request was withdrawn' ;;
*) stop 125 'the answer is unclear' ;;
esac

# Used up once, and not tried again: only a clear yes lets the command run.
[[ -n $(member .grant) ]] || stop 123 'the grant is over'
key+=-redeem
call POST /v1/grants/redeem "$(jq -c --argjson action "$action" '{grant, action: $action}' <<<"$body")"
[[ $status == 200 && $(member .approval) == "$id" ]] || stop 123 "$(member .detail)"
redeemed=$(member .grant)
trap - INT TERM HUP

ran=0
"$@" || ran=$?
if ((ran == 0)); then told='{"outcome": "succeeded"}'; else told="{\"outcome\": \"failed\", \"detail\": \"exit code $ran\"}"; fi
key+=-outcome
# That it could not be told changes nothing about what was done.
(call POST "/v1/grants/$redeemed/outcome" "$told") || true
exit "$ran"
