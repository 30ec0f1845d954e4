# shellcheck shell=bash
# Starts, knows and ends processes by their own pids, and waits for what they bring.
#
# In: DIR · Out: start, stop, alive, wait_for · State: DIR/run/NAME.pid ("PID START"), NAME.cmd, DIR/log/NAME.log

# start NAME COMMAND...: runs a command in a session of its own, with its output in DIR/log/NAME.log.
start() {
  local name=$1
  shift
  printf '%q ' "$@" >"$DIR/run/$name.cmd"
  BACKSTAY_E2E_DIR=$DIR setsid "$@" >>"$DIR/log/$name.log" 2>&1 </dev/null 8>&- 9>&- &
  printf '%d %s\n' $! "$(started $!)" >"$DIR/run/$name.pid"
}

# started PID: prints when the process began, in ticks since boot. With the pid it names a process for good.
started() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  # The name in brackets may hold blanks, so count from behind it. A zombie counts as gone.
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} == Z ]] || printf '%s' "${stat[19]}"
}

# alive NAME: true if the recorded process still runs, and is still that process.
alive() {
  local pid ticks
  [[ -s $DIR/run/$1.pid ]] || return 1
  read -r pid ticks <"$DIR/run/$1.pid"
  [[ -n $ticks && $(started "$pid") == "$ticks" ]]
}

# pid_of NAME: prints the recorded pid.
pid_of() { cut -d' ' -f1 "$DIR/run/$1.pid"; }

# signal NAME SIGNAL: signals the process and whatever it started in its own process group.
signal() {
  if alive "$1"; then
    kill -s "$2" -- "-$(pid_of "$1")" 2>/dev/null || kill -s "$2" -- "$(pid_of "$1")" 2>/dev/null || true
  fi
}

# stop NAME...: asks all to end at once, gives them three seconds, then makes them.
stop() {
  local name deadline=$((SECONDS + 3))
  for name; do
    signal "$name" TERM
    signal "$name" CONT
  done
  for name; do
    while alive "$name" && ((SECONDS < deadline)); do sleep 0.05; done
    while alive "$name"; do
      signal "$name" KILL
      sleep 0.05
    done
    rm -f "$DIR/run/$name.pid" "$DIR/run/$name.cmd"
  done
}

# wait_for SECONDS NAME COMMAND...: polls until the command succeeds. Stops early, with the end of its log, if the
# process behind it is gone.
wait_for() {
  local deadline=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name" || ((SECONDS >= deadline)); then
      say "--- the end of $DIR/log/$name.log:"
      tail -n 15 "$DIR/log/$name.log" >&2 || true
      alive "$name" && die "$name is not ready in time: $*"
      die "$name ended before it was ready"
    fi
    sleep 0.1
  done
}

# answers URL [CURL-OPTION]...: true if the URL answers 200.
answers() { curl -fsS --max-time 5 -o /dev/null "$@"; }
