# A Synapse with eleven workers as somebody sets it up by hand: one directory, units with relative paths, root as
# the user, secrets in config.yaml, nginx's locations in a file a worker. Run as root on a host with PostgreSQL,
# Redis and nginx.
set -eu

root=/opt/matrix
python3 -m venv $root
$root/bin/pip --quiet install 'matrix-synapse[redis]==1.163.2' psycopg2-binary
mkdir -p $root/conf/conf.d $root/conf/workers $root/data/media $root/nginx/worker

systemctl start postgresql.service redis-server.service
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc 'select 1' > /dev/null 2>&1; do sleep 0.2; done
cd /
setpriv --reuid=postgres --regid=postgres --clear-groups psql -q << 'SQL'
create role synapse login password 'hand-made-database';
create database synapse encoding UTF8 locale 'C' template template0 owner synapse;
SQL

cat > $root/conf/config.yaml << 'YAML'
# Made by hand.
server_name: example.org
public_baseurl: http://example.org/
pid_file: /opt/matrix/data/main.pid
report_stats: no
listeners:
  - {port: 8008, type: http, bind_addresses: ['127.0.0.1'], x_forwarded: true, resources: [{names: [client, federation]}]}
  - {port: 9093, type: http, bind_addresses: ['127.0.0.1'], resources: [{names: [replication]}]}
database:
  name: psycopg2
  args: {user: synapse, password: hand-made-database, dbname: synapse, host: localhost, cp_min: 2, cp_max: 5}
redis: {enabled: true, host: localhost}
log_config: /opt/matrix/conf/log.yaml
media_store_path: /opt/matrix/data/media
signing_key_path: /opt/matrix/conf/signing.key
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
  quarantined_media_changes: media
update_user_directory_from_worker: user_dir
notify_appservices_from_worker: appservice
run_background_tasks_on: background
pusher_instances: [pusher]
federation_sender_instances: [federation_sender]
YAML
cat > $root/conf/conf.d/limits.yaml << 'YAML'
rc_login: {address: {per_second: 100, burst_count: 1000}, account: {per_second: 100, burst_count: 1000}}
rc_message: {per_second: 1000, burst_count: 1000}
YAML
cat > $root/conf/log.yaml << 'YAML'
version: 1
formatters: {plain: {format: '%(asctime)s - %(name)s - %(levelname)s - %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: INFO, handlers: [console]}
YAML
$root/bin/python -c 'import signedjson.key as key, sys; key.write_signing_keys(open("/opt/matrix/conf/signing.key", "w"), [key.generate_signing_key("a_hand")])'

worker() { # NAME APP PORT [REPLICATION-PORT [MORE]]
    {
        echo "worker_app: synapse.app.$2"
        echo "worker_name: $1"
        echo "worker_log_config: /opt/matrix/conf/log.yaml"
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
    } > $root/conf/workers/"$1".yaml
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

unit() { # FILE APP AFTER CONFIG
    cat > /etc/systemd/system/"$1" << UNIT
[Unit]
Description=Matrix Synapse ($2)
After=$3

[Service]
User=root
Group=root
WorkingDirectory=/opt/matrix
ExecStart=/opt/matrix/bin/python -m synapse.app.$2 --config-path=conf/config.yaml --config-path=conf/conf.d/ $4
Restart=always
RestartSec=3s

[Install]
WantedBy=multi-user.target
UNIT
}
unit matrix_main.service homeserver postgresql.service ''
unit matrix_generic_worker@.service generic_worker matrix_main.service --config-path=conf/workers/%i.yaml
unit matrix_media.service media_repository matrix_main.service --config-path=conf/workers/media.yaml

location() { # FILE PORT PATTERN...
    local file=$root/nginx/worker/$1.conf port=$2 pattern
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
    include /opt/matrix/nginx/worker/media.conf;
    include /opt/matrix/nginx/worker/[!m]*.conf;
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
systemctl enable --quiet --now matrix_main.service
until [ "$($root/bin/python -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8008/health").status)' 2> /dev/null)" = 200 ]; do sleep 0.5; done
systemctl enable --quiet --now matrix_media.service matrix_generic_worker@{client,federation_reader,synchrotron,events,user_dir,appservice,background,frontend_proxy,pusher,federation_sender}.service
systemctl restart nginx.service
