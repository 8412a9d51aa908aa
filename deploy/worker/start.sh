# Starts a Daywork agent on a fresh instance: find Python, fetch the agent, make sure of it, run it, shut down.
# Part of the user data, run as root by cloud-init; what it writes goes to the instance's console.
# The control plane fills in where the agent is and its SHA-256. Whatever happens here, the instance shuts down.
set -u
umask 022

say() { echo "daywork: $*" >&2; }

end() {
    trap - EXIT
    say "shutting down"
    sync
    shutdown -h now || poweroff -f
}
trap end EXIT
trap 'exit 1' HUP INT TERM

url='@AGENT_URL@'
sha256='@AGENT_SHA256@'
user=daywork-agent
# Mounting a file system and reading all of it is root's. Such a worker keeps these two of root's powers and no other.
mounts='@AGENT_MOUNTS@'

python=
for name in /opt/daywork/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null 2>&1 &&
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    say "the image has no Python 3.11 or newer"
    exit 1
fi

place=$(mktemp -d "${TMPDIR:-/var/tmp}/daywork-agent.XXXXXX") || exit 1

fetch() {
    "$python" -I - "$url" "$sha256" "$place/agent.pyz" <<'END'
import hashlib
import sys
import urllib.request

url, wanted, path = sys.argv[1:]
try:
    with urllib.request.urlopen(url, timeout=60) as answer:
        data = answer.read()
except OSError as error:
    sys.exit(f"daywork: cannot fetch the agent: {error}")
found = hashlib.sha256(data).hexdigest()
if found != wanted:
    sys.exit(f"daywork: the agent's SHA-256 is {found}, expected {wanted}")
with open(path, "wb") as file:
    file.write(data)
END
}

pause=1
until fetch; do
    if [ "$pause" -gt 64 ]; then
        exit 1
    fi
    sleep "$pause"
    pause=$((pause * 2))
done

run=
if [ "$(id -u)" -eq 0 ] && [ "$mounts" = yes ]; then
    if command -v setpriv >/dev/null 2>&1; then
        run="setpriv --bounding-set=-all,+sys_admin,+dac_read_search --inh-caps=-all --no-new-privs --"
    else
        say "cannot give up what root may do, running as root"
    fi
elif [ "$(id -u)" -eq 0 ]; then
    id "$user" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$user" || true
    if id "$user" >/dev/null 2>&1 && command -v setpriv >/dev/null 2>&1; then
        chown -R "$user" "$place"
        run="setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs --"
    else
        say "cannot become another user, running as root"
    fi
fi

cd "$place" || exit 1
export HOME="$place" TMPDIR="$place"
# shellcheck disable=SC2086 # the words of $run are arguments
$run "$python" -I "$place/agent.pyz"
say "the agent ended with status $?"
