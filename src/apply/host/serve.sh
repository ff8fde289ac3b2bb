# The script of an apply is facts.sh and then the files here, this one first (script.rs). Takes the lock, probes again,
# then reads framed steps from standard input and does them one at a time:
#     step ID CODE-LENGTH PAYLOAD-LENGTH <newline> CODE PAYLOAD
# one besides those that follow it, until it has said that it is done:
#     beside ID CODE-LENGTH PAYLOAD-LENGTH <newline> CODE PAYLOAD
# or, to be asked again under the same lock:
#     probe REQUEST-LENGTH <newline> REQUEST
# CODE calls the functions below with quoted words; PAYLOAD (contents, record lines, secrets) is kept in a
# root-only file on tmpfs while the step runs. Between steps it stops at the end of its input, or when
# nothing, not even a heartbeat, came for 60 s. Whatever a step starts inherits the lock.

run=/run/synprov
stage=$run/stage
replaced=$run/replaced
payload=''
beside=''
lock=''
records=''
unused=''
out=''
heart=''

complain() {
    printf 'synprov: %s\n' "$*"
}

declare -A revealed=()

answer() { # FIELD...: tells the controller something while a step runs, and remembers it for the record
    local IFS=$'\t'
    case $1 in
        started) revealed["(invocation of $2)"]=$3 revealed["(workers of $2)"]=$4 revealed["(seconds of $2)"]=$5 ;;
        revision) revealed["(known after apply: $2)"]=$3 ;;
        venv) revealed["(packages of $2)"]=$3 ;;
    esac
    # The controller may be gone; a step that has begun finishes all the same.
    { printf '%s\n' "$*" >&"$out"; } 2> /dev/null || return 0
}

take_lock() {
    local holder
    mkdir -p -m 0700 -- $run || { say error "cannot make $run"; return 1; }
    [[ -O $run && ! -L $run ]] && chmod 0700 -- $run || { say error "$run is not root's own"; return 1; }
    exec {lock}<> $run/lock || { say error "cannot open $run/lock"; return 1; }
    # Somebody may delete a file that is locked, and let a second run in; where all records are, nobody does.
    mkdir -p -m 0700 -- "${state%/*}" && exec {records}< "${state%/*}" || { say error "cannot open ${state%/*}"; return 1; }
    if ! flock --nonblock "$lock" || ! flock --nonblock "$records"; then
        holder=$(head -c 300 $run/lock | head -n 1)
        say locked "${holder:-it does not say who it is, its lock file was deleted}"
        return 1
    fi
    printf '%s\n' "$who" > $run/lock
}

is_fit() { # to hold anything at all
    ((EUID == 0)) && [[ -d /run/systemd/system ]]
}

serve() {
    # What is no host of ours answers and keeps nothing: it is refused for what it says.
    is_fit || { read_digests; read_record; probe; return; }
    # Caught, not ignored: what a step starts gets the default back.
    trap : PIPE HUP INT TERM
    take_lock || return 0
    [[ -e $state ]] || unused=$state
    prepare_state || { say error "cannot write $state"; return 0; }
    exec {out}>&1
    read_digests
    read_record
    probe
    begin_beats
    serve_steps
    # What runs beside the others has begun, and finishes as they do; a signal only ends the waiting.
    while [[ -n $beside ]] && kill -0 "$beside" 2> /dev/null; do wait "$beside"; done
    end_beats
    rm -rf -- $stage $replaced $run/payload*
    # Asked, and nothing ordered.
    [[ -z $unused ]] || { rm -rf -- "${unused:?}" && rmdir --ignore-fail-on-non-empty -- "${unused%/*}"; }
}

# A step may be silent for long. It says line by line what a pipe takes whole; a probe says more at once, which a
# beat could fall into.
begin_beats() {
    (
        exec {lock}>&- {records}>&- {out}>&-
        while kill -0 $$ 2> /dev/null; do
            printf 'beat\n' || exit
            # A sleep that outlives us must not hold the connection open.
            sleep 5 > /dev/null
        done
    ) < /dev/null 2> /dev/null &
    heart=$!
}

end_beats() { # none comes after it
    kill "$heart" 2> /dev/null
    wait "$heart" 2> /dev/null
}

serve_steps() {
    local word id code_length payload_length code status
    while read -r -t 60 word id code_length payload_length; do
        case $word in
            beat) continue ;;
            quit) break ;;
        esac
        unused=''
        case $word in
            probe) probe_again "$id" || break; continue ;;
            step) payload=$run/payload ;;
            beside) payload=$run/payload.$id ;;
            *) break ;;
        esac
        code=$(rest_of_frame "$code_length"; printf .)
        code=${code%.}
        ((${#code} == code_length)) || break
        status=$(rest_of_frame "$payload_length" 2>&1 > "$payload") || { [[ -z $status ]] || say error "cannot keep a step in $run: ${status##*: }"; break; }
        [[ $(stat --printf %s "$payload") == "$payload_length" ]] || break
        if [[ $word == step ]]; then
            do_step "$id" "$code"
        else
            # A caught signal is caught there, too.
            { trap : PIPE HUP INT TERM; do_step "$id" "$code"; } < /dev/null &
            beside=$!
        fi
    done
}

# A controller that stands still in the middle of a frame must not hold the lock.
rest_of_frame() { # LENGTH
    timeout --foreground 300 head -c "$1"
}

do_step() { # ID CODE
    local word secret status
    # The controller may be gone; a step that has begun finishes all the same.
    (trap : PIPE; eval "$2") < /dev/null 2>&1 | (
        trap '' PIPE
        learn_secrets
        while IFS= read -r word || [[ -n $word ]]; do
            # A process' last words may hold what it was configured with.
            for secret in "${!hidden[@]}"; do word=${word//"$secret"/"<secret ${hidden[$secret]}>"}; done
            printf 'log\t%s\t%s\n' "$1" "${word:0:600}" 2> /dev/null
        done
    )
    status=${PIPESTATUS[0]}
    rm -f -- "$payload"
    say 'done' "$1" "$status"
}

# What lies staged was meant for what is over.
probe_again() { # REQUEST-LENGTH
    local text
    text=$(rest_of_frame "$1"; printf .)
    text=${text%.}
    ((${#text} == $1)) || return 1
    rm -rf -- $stage
    forget_request
    read_request "$text" || return 1
    read_digests
    read_record
    end_beats
    probe
    begin_beats
}

slice() { # OFFSET LENGTH: a part of the payload
    tail -c "+$(($1 + 1))" "${payload:-$run/payload}" | head -c "$2"
}
