# Completion of downtimer's commands, options, formats and runs, for bash.
#
#     install -Dm644 etc/completion/downtimer.bash /usr/share/bash-completion/completions/downtimer
#
# or, for yourself, `source` it in ~/.bashrc. It knows nothing by itself: the command's own --help says what there is, and
# the word that stands for a value there what may be its values: FILE, RUN, or those that its line lists, with commas and "or".

declare -gA _downtimer_helps # by program and command, once in each shell

_downtimer() {
    local program=${COMP_WORDS[0]/#\~/$HOME} current=${COMP_WORDS[COMP_CWORD]} command='' option='' config=() i
    COMPREPLY=()
    [[ $current == '=' ]] && current=''
    for ((i = 1; i < COMP_CWORD; i++)); do
        option=''
        case ${COMP_WORDS[i]} in
            -c | --config)
                option=${COMP_WORDS[i]}
                [[ ${COMP_WORDS[i + 1]-} == '=' ]] && ((i++))
                ((++i < COMP_CWORD)) && config=(--config "${COMP_WORDS[i]/#\~/$HOME}") && option=''
                ;;
            --)
                [[ $command ]] && _downtimer_other "$((i + 1))" && return
                ;;
            --*)
                option=${COMP_WORDS[i]}
                _downtimer_takes "$program" "$command" "$option" > /dev/null || { option='' && continue; }
                [[ ${COMP_WORDS[i + 1]-} == '=' ]] && ((i++))
                ((++i < COMP_CWORD)) && option=''
                ;;
            *)
                [[ $command ]] || command=${COMP_WORDS[i]}
                ;;
        esac
    done

    if [[ $option ]]; then
        _downtimer_value "$(_downtimer_takes "$program" "$command" "$option")" "$option"
    elif [[ ! $command ]]; then
        local commands='--config --help --version'
        [[ $current == -* ]] || commands=$("$program" 2>&1)
        commands=${commands##*there are }
        _downtimer_words "${commands//,/ }"
    elif [[ $current == -* ]]; then
        _downtimer_help "$program" "$command"
        _downtimer_words "$(sed -nE 's/^  (-[a-z]( [A-Z]+)?, )?(--[a-z-]+).*/\3/p' <<< "$REPLY") --help"
    else
        _downtimer_value "$(_downtimer_argument "$program" "$command")" ''
    fi
}

# Set REPLY to what a command says of itself.
_downtimer_help() {
    local key="$1 $2"
    [[ ${_downtimer_helps[$key]-} ]] || _downtimer_helps[$key]=$("$1" ${2:+"$2"} --help 2> /dev/null)
    REPLY=${_downtimer_helps[$key]}
}

# Print the word that stands for what an option takes; fail if it takes nothing.
_downtimer_takes() {
    [[ $3 == -c || $3 == --config ]] && echo FILE && return
    _downtimer_help "$1" "$2"
    [[ $REPLY =~ (^|[[:space:],|\[\(])"$3"[\ =]([A-Z]+) ]] && echo "${BASH_REMATCH[2]}"
}

# Print the word that stands for a command's argument.
_downtimer_argument() {
    _downtimer_help "$1" "$2"
    sed -nE '/^Usage:/,/^$/p' <<< "$REPLY" | sed -E 's/--?[a-z-]+[ =][A-Z]+//g; s/-- .*//' |
        grep -oE '\b(RUN|BEFORE|FILE)\b' | head -n 1
}

# Complete a value: a file, a run, or one of the words that stand beside the option.
_downtimer_value() {
    case $1 in
        FILE)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        RUN | BEFORE)
            # No other letters: compgen runs what stands in $(), as it may in the name of a file that is no journal.
            _downtimer_words "$("$program" runs --json "${config[@]}" 2> /dev/null |
                sed -nE 's/^ *"id": "([A-Za-z0-9._-]+)",$/\1/p')"
            ;;
        ?*)
            local from said
            for from in "$command" ${command:+report}; do # whose list holds for commands that only name the default
                _downtimer_help "$program" "$from"
                said=$(_downtimer_said "$2 $1")
                [[ $said =~ ^[a-z]+((, | or )[a-z]+)+ ]] || continue
                _downtimer_words "$(sed 's/, / /g; s/ or / /g' <<< "${BASH_REMATCH[0]}")"
                break
            done
            ;;
    esac
}

# Print what REPLY says of an option, without what stands in brackets.
_downtimer_said() {
    sed -nE "/^  (-[a-z] [A-Z]+, )?$1( |$)/,/^(  -|$)/p" <<< "$REPLY" |
        sed -E "1s/^.*$1 *//; 2,\$ { /^(  -|$)/d; s/^ +/ / }" | tr -d '\n' | sed -E 's/ ?[[(][^])]*[])]//g; s/^ *([a-z ]*: )?//'
}

# Complete another command, whose own completion is used where bash-completion is there.
_downtimer_other() {
    if declare -F _command_offset > /dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    else
        compopt -o filenames 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

_downtimer_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

complete -F _downtimer downtimer
