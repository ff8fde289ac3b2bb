# PostgreSQL: role, database, settings, peers; an external one is only asked.

wait_for_postgresql() {
    local -i deadline=$((SECONDS + 120))
    until [[ $(as_postgres 2> /dev/null <<< 'select 1') == 1 ]]; do
        ((SECONDS < deadline)) || { complain 'PostgreSQL does not answer on its local socket'; systemctl --no-pager --lines 5 status 'postgresql*' 2>&1; return 1; }
        sleep 0.2
    done
}

postgresql_role() { # ROLE PASSWORD-FILE: the password travels on standard input only, and into no log or statistics
    local password
    password=$(< "$2") || return 1
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    as_postgres -v role="$1" << SQL
set log_statement = 'none'; set log_min_duration_statement = -1; set log_min_error_statement = 'panic';
set pg_stat_statements.track_utility = 'off'; set pgaudit.log = 'none';
select format('create role %I login', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" login password E'$password';
SQL
}

postgresql_setting() { # NAME VALUE
    as_postgres -v value="$2" <<< "alter system set $1 = :'value';"
}

postgresql_database() { # DATABASE ROLE
    as_postgres -v db="$1" -v role="$2" << 'SQL'
select format('create database %I encoding %L lc_collate %L lc_ctype %L template template0 owner %I', :'db', 'UTF8', 'C', 'C', :'role')
where not exists (select from pg_database where datname = :'db') \gexec
SQL
}

postgresql_peers() { # ROLE DATABASE CIDR...: our block, before the rules of others, since the first match wins
    local file role=$1 database=$2 peer block='' mark bad
    shift 2
    file=$(as_postgres <<< 'show hba_file') || return 1
    mark="synprov $database"
    for peer in "$@"; do block+="host \"$database\" \"$role\" $peer scram-sha-256"$'\n'; done
    [[ -n $block ]] && block="# BEGIN $mark"$'\n'"$block# END $mark"$'\n'
    # As postgres, who owns the directory: root follows no path there.
    printf %s "$block" | (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- bash -c '
        umask 077
        # Without its end our block would reach to the end of the file.
        marks=$(grep -xF -e "# BEGIN $2" -e "# END $2" -- "$1" | cut -c 3-5 | tr -d "\n")
        [[ $marks =~ ^(BEGEND)*$ ]] || { echo "synprov: $1: its lines \"# BEGIN $2\" and \"# END $2\" are no pair; mend or remove them"; exit 1; }
        new=$(mktemp -- "$1.XXXXXXXX") && cat > "$new" && sed "/^# BEGIN $2\$/,/^# END $2\$/d" -- "$1" >> "$new" \
            && chmod --reference="$1" -- "$new" && sync -- "$new" && mv -fT -- "$new" "$1"' peers "$file" "$mark") || return 1
    as_postgres <<< 'select pg_reload_conf()' > /dev/null || return 1
    # It says yes to a file that it then does not take.
    bad=$(as_postgres <<< "select line_number || ': ' || error from pg_hba_file_rules where error is not null") || return 1
    [[ -z $bad ]] || { complain "PostgreSQL does not take $file, because of line $bad"; return 1; }
}

check_postgresql() { # USER PYTHON CONNINFO
    setpriv --reuid="$1" --regid="$1" --init-groups -- "$2" -I -c '
import sys, psycopg2
try:
    connection = psycopg2.connect(sys.argv[1])
except psycopg2.Error as error:
    sys.exit(f"synprov: cannot log in to the external PostgreSQL: {str(error).strip()}")
cursor = connection.cursor()
cursor.execute("select current_setting($$server_version_num$$)::int, pg_encoding_to_char(encoding), datcollate, datctype from pg_database where datname = current_database()")
version, encoding, collate, ctype = cursor.fetchone()
bad = []
if version < 140000: bad.append(f"its version is {version // 10000}, Synapse needs 14 or later")
if encoding != "UTF8": bad.append(f"the database has encoding {encoding}, Synapse needs UTF8")
if (collate, ctype) != ("C", "C"): bad.append(f"the database has locale {collate}/{ctype}, Synapse needs C (createdb --locale=C --template=template0)")
if bad: sys.exit("synprov: the external PostgreSQL does not fit: " + "; ".join(bad))
' "$3"
}
