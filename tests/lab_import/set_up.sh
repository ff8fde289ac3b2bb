# A Synapse with eleven workers as somebody sets it up without synprov; nginx' locations in a file a worker.
# Run as root on a host with PostgreSQL, Redis and nginx. The first argument says after whose example:
#   hand      one directory, units with relative paths, root as the user, everything in config.yaml
#   package   a Debian package as matrix.org builds matrix-synapse-py3, with worker units of one's own
#   document  Synapse's docs/systemd-with-workers: a target, a venv below /srv, notifying units
set -eu

layout=$1 tree=''
case $layout in
    hand)
        user=root group=root conf=/opt/matrix/conf venv=/opt/matrix data=/opt/matrix/data
        main=matrix_main worker=matrix_generic_worker config=config.yaml ;;
    package)
        user=matrix-synapse group=nogroup conf=/etc/matrix-synapse venv=/opt/venvs/matrix-synapse data=/var/lib/matrix-synapse
        main=matrix-synapse worker=matrix-synapse-worker config=homeserver.yaml tree=/tmp/matrix-synapse-py3 ;;
    document)
        user=synapse group=synapse conf=/srv/synapse/etc venv=/srv/synapse/env data=/srv/synapse/data
        main=matrix-synapse worker=matrix-synapse-worker config=homeserver.yaml ;;
esac
nginx=/etc/nginx/worker

python3 -m venv $venv
$venv/bin/pip --quiet install 'matrix-synapse[redis]==1.163.2' psycopg2-binary
[ $user = root ] || {
    if [ $group = nogroup ]; then useradd --system --gid nogroup --home-dir $data --shell /usr/sbin/nologin $user
    else useradd --system --user-group --home-dir $data --shell /usr/sbin/nologin $user; fi
}
mkdir -p $tree$conf/conf.d $conf/workers $data/media $nginx

systemctl start postgresql.service redis-server.service
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc 'select 1' > /dev/null 2>&1; do sleep 0.2; done
cd /
setpriv --reuid=postgres --regid=postgres --clear-groups psql -q << 'SQL'
create role synapse login password 'hand-made-database';
create database synapse encoding UTF8 locale 'C' template template0 owner synapse;
SQL

cat > $tree$conf/$config << YAML
# Made by hand.
$([ $layout = package ] || echo 'server_name: example.org')
$([ $layout = package ] || echo 'report_stats: no')
public_baseurl: http://example.org/
pid_file: $data/main.pid
listeners:
  - {port: 8008, type: http, bind_addresses: ['127.0.0.1'], x_forwarded: true, resources: [{names: [client, federation]}]}
  - {port: 9093, type: http, bind_addresses: ['127.0.0.1'], resources: [{names: [replication]}]}
database:
  name: psycopg2
  args: {user: synapse, password: hand-made-database, dbname: synapse, host: localhost, cp_min: 2, cp_max: 5}
redis: {enabled: true, host: localhost}
log_config: $conf/log.yaml
media_store_path: $data/media
signing_key_path: $conf/signing.key
macaroon_secret_key: hand-made-macaroon
form_secret: hand-made-form
registration_shared_secret: hand-made-registration
worker_replication_secret: hand-made-replication
turn_uris: ['turn:turn.example.org']
turn_shared_secret: hand-made-turn
email: {smtp_host: mail.example.org, smtp_pass: hand-made-smtp, notif_from: 'Matrix <m@example.org>'}
suppress_key_server_warning: true
trusted_key_servers: []
max_upload_size: 20M
enable_media_repo: false
media_instance_running_background_jobs: media
instance_map:
  main: {host: localhost, port: 9093}
  events: {host: localhost, port: 9104}
  frontend_proxy: {host: localhost, port: 9108}
  media: {host: localhost, port: 9111}
stream_writers:
  events: events
  presence: [frontend_proxy]
  quarantined_media_changes: [master, media]
update_user_directory_from_worker: user_dir
notify_appservices_from_worker: appservice
run_background_tasks_on: background
pusher_instances: [pusher]
federation_sender_instances: [federation_sender]
YAML
cat > $tree$conf/conf.d/limits.yaml << 'YAML'
rc_login: {address: {per_second: 100, burst_count: 1000}, account: {per_second: 100, burst_count: 1000}}
rc_message: {per_second: 1000, burst_count: 1000}
YAML
if [ $layout = package ]; then
    echo 'server_name: example.org' > $tree$conf/conf.d/server_name.yaml
    echo 'report_stats: false' > $tree$conf/conf.d/report_stats.yaml
fi
cat > $tree$conf/log.yaml << 'YAML'
version: 1
formatters: {plain: {format: '%(asctime)s - %(name)s - %(levelname)s - %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: INFO, handlers: [console]}
YAML

worker() { # NAME APP PORT [REPLICATION-PORT]
    {
        echo "worker_app: synapse.app.$2"
        echo "worker_name: $1"
        echo "worker_log_config: $conf/log.yaml"
        echo 'worker_listeners:'
        if [ "$3" != - ]; then
            names='client, federation'
            [ "$2" != media_repository ] || names='media, client, federation'
            echo "  - {port: $3, type: http, bind_addresses: ['127.0.0.1'], x_forwarded: true, resources: [{names: [$names]}]}"
        fi
        if [ "${4:-}" ]; then echo "  - {port: $4, type: http, bind_addresses: ['127.0.0.1'], resources: [{names: [replication]}]}"; fi
        if [ "$3" = - ] && [ -z "${4:-}" ]; then echo '  []'; fi
        if [ "$2" = media_repository ]; then echo 'enable_media_repo: true'; fi
        [ "$1" != synchrotron ] || printf 'event_cache_size: 20K\n'
    } > $conf/workers/"$1".yaml
}
worker client generic_worker 8101
worker federation_reader generic_worker 8102
worker synchrotron generic_worker 8103
worker events generic_worker 8104 9104
worker user_dir generic_worker 8105
worker appservice generic_worker -
worker background generic_worker -
worker frontend_proxy generic_worker 8108 9108
worker pusher generic_worker -
worker federation_sender generic_worker -
worker media media_repository 8111 9111

unit() { # FILE APP AFTER OWN-CONFIG
    # Only a set-up by hand has relative paths.
    local at=$conf
    [ $layout != hand ] || at=conf
    echo '[Unit]'
    echo "Description=Matrix Synapse ($2)"
    echo "After=$3"
    if [ $layout = document ]; then
        printf '%s\n' PartOf=matrix-synapse.target ReloadPropagatedFrom=matrix-synapse.target
        [ -z "$4" ] || echo "AssertPathExists=$4"
    fi
    printf '\n[Service]\n'
    case $layout in
        hand) printf '%s\n' Group=root WorkingDirectory=/opt/matrix ;;
        package) printf '%s\n' Type=notify EnvironmentFile=-/etc/default/matrix-synapse WorkingDirectory=$data SyslogIdentifier=matrix-synapse ;;
        document) printf '%s\n' Type=notify NotifyAccess=main RuntimeDirectory=synapse RuntimeDirectoryPreserve=yes WorkingDirectory=/srv/synapse ;;
    esac
    if [ $layout != hand ] && [ $2 = homeserver ]; then
        echo "ExecStartPre=$venv/bin/python -m synapse.app.homeserver --config-path=$conf/$config --config-path=$conf/conf.d/ --generate-keys"
    fi
    echo "User=$user"
    echo "ExecStart=$venv/bin/python -m synapse.app.$2 --config-path=$at/$config --config-path=$at/conf.d/${4:+ --config-path=${4/#$conf/$at}}"
    # shellcheck disable=SC2016  # systemd's variable
    [ $layout = hand ] || echo 'ExecReload=/bin/kill -HUP $MAINPID'
    printf '%s\n' Restart=always RestartSec=3s '' '[Install]'
    if [ $layout = document ]; then echo WantedBy=matrix-synapse.target; else echo WantedBy=multi-user.target; fi
}
system=/etc/systemd/system
if [ $layout = package ]; then
    mkdir -p $tree/DEBIAN $tree/lib/systemd/system $tree/opt/venvs
    mv $venv $tree/opt/venvs/
    unit $main homeserver postgresql.service '' > $tree/lib/systemd/system/$main.service
    (cd $tree && find etc -type f -printf '/%p\n') > $tree/DEBIAN/conffiles
    printf '%s\n' 'Package: matrix-synapse-py3' 'Version: 1.163.2+bookworm1' 'Architecture: all' 'Maintainer: lab <lab@example.org>' \
        'Description: Synapse, packaged as matrix.org packages it' > $tree/DEBIAN/control
    dpkg-deb -Znone --root-owner-group --build $tree /tmp/matrix-synapse-py3.deb > /dev/null
    dpkg --install /tmp/matrix-synapse-py3.deb > /dev/null
    rm -r $tree /tmp/matrix-synapse-py3.deb
else
    unit $main homeserver postgresql.service '' > $system/$main.service
fi
unit $worker@ generic_worker $main.service "$conf/workers/%i.yaml" > $system/$worker@.service
workers=$(printf "$worker@%s.service " client federation_reader synchrotron events user_dir appservice background frontend_proxy pusher federation_sender)
if [ $layout = hand ]; then
    unit matrix_media media_repository matrix_main.service "$conf/workers/media.yaml" > $system/matrix_media.service
    workers="$workers matrix_media.service"
else
    # generic_worker runs a file of media_repository too.
    workers="$workers $worker@media.service"
fi
if [ $layout = document ]; then
    printf '%s\n' '[Unit]' 'Description=Synapse parent target' After=network.target '' '[Install]' WantedBy=multi-user.target > $system/matrix-synapse.target
fi
$venv/bin/python -c 'import signedjson.key as key, sys; key.write_signing_keys(open(sys.argv[1], "w"), [key.generate_signing_key("a_hand")])' $conf/signing.key
[ $user = root ] || chown -R $user:$group $data $conf/signing.key

location() { # FILE PORT PATTERN...
    local file=$nginx/$1.conf port=$2 pattern
    shift 2
    for pattern in "$@"; do
        printf 'location ~ "%s" { proxy_pass http://127.0.0.1:%s; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $host; proxy_http_version 1.1; }\n' "$pattern" "$port"
    done > "$file"
}
location synchrotron 8103 '^/_matrix/client/(r0|v3|v1)/sync$' '^/_matrix/client/(api/v1|r0|v3)/(events|initialSync)$' '^/_matrix/client/(api/v1|r0|v3)/rooms/[^/]+/initialSync$' '^/_matrix/client/unstable/org.matrix.simplified_msc3575/sync$'
location federation_reader 8102 '^/_matrix/(federation|key)/'
location client 8101 '^/_matrix/client/(api/v1|r0|v3|unstable)/(publicRooms|login|account/|devices|keys/query|keys/changes|joined_rooms|capabilities|register)' '^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/(joined_members|context|members|state|messages|event|aliases|hierarchy|relations|threads|timestamp_to_event)' '^/_matrix/client/versions$' '^/_matrix/client/(r0|v3|unstable)/(voip/turnServer|profile|search|directory)'
location events 8104 '^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/(redact|send|(join|invite|leave|ban|unban|kick)$)' '^/_matrix/client/(api/v1|r0|v3|unstable)/join/'
location user_dir 8105 '^/_matrix/client/(r0|v3|unstable)/user_directory/search$'
location frontend_proxy 8108 '^/_matrix/client/(r0|v3|unstable)/keys/upload' '^/_matrix/client/(api/v1|r0|v3|unstable)/presence/'
location media 8111 '^/_matrix/media/' '^/_matrix/client/v1/media/' '^/_matrix/federation/v1/media/' '^/_synapse/admin/v1/(quarantine_media|purge_media_cache|media|room/.*/media|user/.*/media|users/.*/media)'
cat > /etc/nginx/sites-enabled/matrix.conf << 'NGINX'
server {
    listen 80;
    server_name example.org;
    # The media first: federation_reader's expression would take them.
    include /etc/nginx/worker/media.conf;
    include /etc/nginx/worker/[!m]*.conf;
    location / {
        proxy_pass http://127.0.0.1:8008;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Host $host;
        proxy_http_version 1.1;
    }
}
NGINX
rm -f /etc/nginx/sites-enabled/default
systemctl daemon-reload
systemctl enable --quiet --now $main.service
[ $layout != document ] || systemctl enable --quiet matrix-synapse.target
until [ "$($venv/bin/python -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8008/health").status)' 2> /dev/null)" = 200 ]; do sleep 0.5; done
# shellcheck disable=SC2086  # a list of units
systemctl enable --quiet --now $workers
systemctl restart nginx.service
