# Sent like facts.sh. Gives the values of secrets: `secret NAME BASE64`, or `absent NAME`. Changes nothing.

synprov_main() {
    local name path
    printf '\n%s\n' "$1"
    while IFS=$'\t' read -r name path && [[ $name != end ]]; do
        if [[ -f $path && ! -L $path ]]; then
            printf 'secret\t%s\t%s\n' "$name" "$(base64 -w0 < "$path")"
        else
            printf 'absent\t%s\n' "$name"
        fi
    done <<< "$synprov_request"
    printf 'end\n'
}
