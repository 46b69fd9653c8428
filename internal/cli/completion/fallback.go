package completion

// bashFallback is what bash's script calls of the package bash-completion, as far as it
// needs it, where that package is not there (or not loaded yet: what is loaded later
// takes the place of these).
const bashFallback = `# Where the package bash-completion is not there, this is what is needed of it.
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    # _get_comp_words_by_ref -n CHARS cur prev words cword: the words of the line, of which
    # those that bash has split at CHARS are one.
    _get_comp_words_by_ref()
    {
        local chars="" line="$COMP_LINE" lead word last="" i
        while [[ $1 == -* ]]; do
            if [[ $1 == -n ]]; then chars=$2; shift; fi
            shift
        done
        words=() cword=0
        for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
            word=${COMP_WORDS[i]}
            lead=${line%%[![:space:]]*}
            line=${line#"$lead"}
            line=${line#"$word"}
            if [[ $i -gt 0 && -z $lead && -n $chars ]] && [[ -n $word && -z ${word//[$chars]/} || -n $last && -z ${last//[$chars]/} ]]; then
                words[${#words[@]}-1]+=$word
            else
                words+=("$word")
            fi
            last=$word
            if [[ $i -eq $COMP_CWORD ]]; then
                cword=$((${#words[@]} - 1))
            fi
        done
        cur=${words[cword]}
        prev=""
        if [[ $cword -gt 0 ]]; then prev=${words[cword-1]}; fi
    }
fi
if ! declare -F __ltrim_colon_completions >/dev/null 2>&1; then
    # Readline completes what is behind the last colon only.
    __ltrim_colon_completions()
    {
        if [[ $1 == *:* && $COMP_WORDBREAKS == *:* ]]; then
            local before=${1%"${1##*:}"} i
            for i in "${!COMPREPLY[@]}"; do
                COMPREPLY[i]=${COMPREPLY[i]#"$before"}
            done
        fi
    }
fi
if ! declare -F _filedir >/dev/null 2>&1; then
    # _filedir -d: directories; _filedir: files, whatever they are called.
    _filedir()
    {
        local kind=-f line
        if [[ $1 == -d ]]; then kind=-d; fi
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen $kind -- "$cur")
    }
fi

`
