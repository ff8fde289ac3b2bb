//! The table of everything that somebody may do.

use crate::mutation::Mutation;
use crate::site::ROOT;

const CLIENT: &str = "matrix_generic_worker@client.service";
const SYSTEM: &str = "/etc/systemd/system";
const REDIS: &str = "redis-server@matrix.service";
const CERTIFICATE: &str = "/etc/ssl/synprov-lab/fullchain.pem";
const PSQL: &str = "cd / && runuser -u postgres -- psql -q";

struct Table(Vec<Mutation>);

impl Table {
    /// Put right by `apply`, or by the command that the report names.
    fn add(&mut self, name: &'static str, script: &str, findings: &[&str]) {
        self.0.push(Mutation {
            name,
            script: fill(script),
            findings: findings.iter().map(|one| fill(one)).collect(),
            undo: None,
        });
    }

    /// Put right by hand.
    fn undone(&mut self, name: &'static str, script: &str, findings: &[&str], undo: &str) {
        self.add(name, script, findings);
        if let Some(last) = self.0.last_mut() {
            last.undo = Some(fill(undo));
        }
    }
}

/// Names that stand in many lines.
fn fill(text: &str) -> String {
    text.replace("{conf}", &format!("{ROOT}/conf"))
        .replace("{root}", ROOT)
        .replace("{client}", CLIENT)
        .replace("{system}", SYSTEM)
        .replace("{redis}", REDIS)
        .replace("{certificate}", CERTIFICATE)
        .replace("{psql}", PSQL)
        .replace("{venv}", "$(echo /opt/matrix/venvs/*)")
        .replace("{site}", "$(echo /opt/matrix/venvs/*/lib/python3*/site-packages)")
}

/// All of them.
pub fn all() -> Vec<Mutation> {
    let mut table = Table(Vec::new());
    files(&mut table);
    directories(&mut table);
    secrets(&mut table);
    unit_files(&mut table);
    units(&mut table);
    processes(&mut table);
    configuration(&mut table);
    datastores(&mut table);
    packages(&mut table);
    proxy(&mut table);
    haproxy(&mut table);
    harmless(&mut table);
    table.0
}

fn files(table: &mut Table) {
    let file = "{conf}/workers/client.yaml";
    let content = &*format!("file {file} content");
    let rights = &*format!("file {file} rights");
    let replaced = &*format!("file {file} replaced");
    let mut add =
        |name, script: &str, finding: &str| table.add(name, &script.replace("FILE", file), &[finding]);
    add("edits a worker's file", "echo 'event_cache_size: 3' >> FILE", content);
    add(
        "edits it and sets its time back",
        "cp -a FILE /root/x; echo '# x' >> FILE; touch -r /root/x FILE",
        content,
    );
    add("edits it through a new file", "sed -i 's/worker_name/worker_name /' FILE", content);
    add("empties it", ": > FILE", content);
    add("writes garbage into it", "head -c 300 /dev/urandom > FILE", content);
    add("deletes it", "rm FILE", &format!("file {file} removed"));
    add("makes it writable for all", "chmod 0666 FILE", rights);
    add("makes it readable for root only", "chmod 0600 FILE", rights);
    add("gives it away", "chown nobody FILE", rights);
    add("gives it to another group", "chgrp nogroup FILE", rights);
    add("puts a link in its place", "cp -a FILE /root/copy.yaml && ln -sf /root/copy.yaml FILE", replaced);
    add("puts a dangling link in its place", "ln -sf /nowhere FILE", replaced);
    add("puts a pipe in its place", "rm FILE && mkfifo FILE", replaced);
    table.undone(
        "puts a directory in its place",
        &format!("mv {file} /root/kept && mkdir {file}"),
        &[replaced],
        &format!("rmdir {file} && mv /root/kept {file}"),
    );
    table.add(
        "edits a log configuration",
        "sed -i 's/INFO/DEBUG/' {conf}/log/sync.yaml",
        &["file {conf}/log/sync.yaml content"],
    );
    table.add(
        "edits the shared configuration",
        "echo 'report_stats: true' >> {conf}/config.yaml",
        &["file {conf}/config.yaml content"],
    );
    table.add(
        "opens the shared configuration to all",
        "chmod 0644 {conf}/config.yaml",
        &["file {conf}/config.yaml rights"],
    );
    table.add(
        "edits needrestart's file",
        "echo >> /etc/needrestart/conf.d/matrix.conf",
        &["file /etc/needrestart/conf.d/matrix.conf content"],
    );
}

fn directories(table: &mut Table) {
    table.add("opens a directory to all", "chmod 0777 {conf}/workers", &["directory {conf}/workers rights"]);
    table.add(
        "gives the media store away",
        "chown nobody {root}/data/media_store",
        &["directory {root}/data/media_store rights"],
    );
    table.add(
        "gives the media store to another group",
        "chgrp nogroup {root}/data/media_store",
        &["directory {root}/data/media_store rights"],
    );
    table.add("gives a directory to another group", "chgrp nogroup {conf}", &["directory {conf} rights"]);
    table.undone(
        "puts a link in a directory's place",
        "mv {conf}/log /root/log && ln -s /root/log {conf}/log",
        &["directory {conf}/log replaced"],
        "rm {conf}/log && mv /root/log {conf}/log",
    );
}

fn secrets(table: &mut Table) {
    let path = "{conf}/secrets";
    table.add("edits a secret", &format!("printf x >> {path}/smtp"), &["secret smtp content"]);
    table.add("deletes a secret", &format!("rm {path}/smtp"), &["secret smtp removed"]);
    table.add("opens a secret to all", &format!("chmod 0644 {path}/turn"), &["secret turn rights"]);
    table.add("gives a secret away", &format!("chown nobody {path}/macaroon"), &["secret macaroon rights"]);
    table.add(
        "changes a generated secret where it is made",
        &format!("printf changed > {path}/macaroon"),
        &["secret macaroon content"],
    );
}

fn unit_files(table: &mut Table) {
    let edit = "sed -i 's/^Description=.*/Description=mine/'";
    table.add(
        "edits a unit and does not reload systemd",
        &format!("{edit} {{system}}/matrix_media.service"),
        &["file {system}/matrix_media.service content"],
    );
    table.add(
        "edits a unit and reloads systemd",
        &format!("{edit} {{system}}/matrix_media.service && systemctl daemon-reload"),
        &["file {system}/matrix_media.service content"],
    );
    table.add(
        "edits the template of all workers",
        &format!("{edit} {{system}}/matrix_generic_worker@.service"),
        &["file {system}/matrix_generic_worker@.service content"],
    );
    table.add(
        "edits our drop-in",
        "echo 'Environment=A=1' >> {system}/{client}.d/matrix.conf",
        &["file {system}/{client}.d/matrix.conf content"],
    );
    table.add(
        "deletes our drop-in",
        "rm {system}/{client}.d/matrix.conf",
        &["file {system}/{client}.d/matrix.conf removed"],
    );
    let drop_in = "mkdir -p {system}/FOLDER && printf '[Service]\\nSETS\\n' > {system}/FOLDER/x.conf";
    let mut drop_ins = |name, folder: &str, sets: &str, then: &str, findings: &[&str]| {
        let script = drop_in.replace("FOLDER", folder).replace("SETS", sets);
        table.add(name, &format!("{script}{then}"), findings);
    };
    let reload = " && systemctl daemon-reload";
    let of_client = "drop_in {system}/{client}.d/x.conf overridden";
    drop_ins("lays a drop-in over a worker", "{client}.d", "Nice=1", reload, &[of_client]);
    drop_ins(
        "does, and restarts the worker",
        "{client}.d",
        "Nice=1",
        " && systemctl daemon-reload && systemctl restart {client}",
        &[of_client],
    );
    drop_ins(
        "does, and does not reload systemd",
        "{client}.d",
        "Nice=1",
        "",
        &["service {client} not_reloaded"],
    );
    drop_ins(
        "lays a drop-in over all workers",
        "matrix_generic_worker@.service.d",
        "Nice=1",
        reload,
        &["drop_in {system}/matrix_generic_worker@.service.d/x.conf overridden"],
    );
    drop_ins(
        "takes nginx's files away again",
        "nginx.service.d",
        "LimitNOFILE=1024",
        reload,
        &["drop_in {system}/nginx.service.d/x.conf overridden"],
    );
    drop_ins(
        "lays a drop-in over every service",
        "service.d",
        "UMask=0022",
        reload,
        &["drop_in {system}/service.d/x.conf overridden"],
    );
    table.add(
        "sets a property for good",
        "systemctl set-property {client} MemoryMax=3G",
        // Beside a drop-in of ours systemd 252 would want a reload as well: it read this one last, and the other first.
        &["drop_in {system}.control/{client}.d/50-MemoryMax.conf overridden"],
    );
    table.add(
        "sets a property until the next boot",
        "systemctl set-property --runtime {client} CPUWeight=50",
        &["drop_in /run/systemd/system.control/{client}.d/50-CPUWeight.conf overridden"],
    );
    table.add(
        "gives a worker a unit of its own",
        "cp {system}/matrix_generic_worker@.service {system}/{client} && systemctl daemon-reload",
        &["service {client} overridden"],
    );
}

fn units(table: &mut Table) {
    let mut add = |name, script: &str, unit: &str, change: &str| {
        table.add(name, script, &[&format!("service {unit} {change}")]);
    };
    add("stops a worker", "systemctl stop {client}", "{client}", "stopped");
    add("stops main", "systemctl stop matrix_main.service", "matrix_main.service", "stopped");
    add("stops nginx", "systemctl stop nginx.service", "nginx.service", "stopped");
    add("stops Redis", "systemctl stop {redis}", "{redis}", "stopped");
    add("disables a worker", "systemctl disable --quiet {client}", "{client}", "disabled");
    add(
        "disables nginx",
        "systemctl disable --quiet nginx.service 2> /dev/null",
        "nginx.service",
        "disabled",
    );
    add("disables Redis", "systemctl disable --quiet {redis} 2> /dev/null", "{redis}", "disabled");
    add("disables all of Synapse", "systemctl disable --quiet matrix.target", "matrix.target", "disabled");
    add("stops and disables a worker", "systemctl disable --quiet --now {client}", "{client}", "stopped");
    add(
        "masks a worker until the next boot",
        "systemctl mask --runtime --quiet {client}",
        "{client}",
        "masked",
    );
    add(
        "masks a worker",
        "ln -s /dev/null {system}/{client} && systemctl daemon-reload",
        "{client}",
        "masked",
    );
    add(
        "starts a worker with an edit and takes the edit back",
        "cp -a {conf}/workers/client.yaml /root/kept && echo 'event_cache_size: 3' >> {conf}/workers/client.yaml && systemctl restart {client} && cat /root/kept > {conf}/workers/client.yaml",
        "{client}",
        "outdated",
    );
    // Soon after boot a process may only have waited for others.
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    if uptime.split('.').next().unwrap().parse::<u32>().unwrap() > 900 {
        let killed = "systemctl kill --signal=KILL {client}; for i in {1..600}; do sleep 0.1; \
            [[ $(systemctl show --property=NRestarts,ActiveState --value {client} | sort | xargs) == '1 active' ]] && exit; done; exit 1";
        add("kills a worker", killed, "{client}", "crashed");
    }
}

fn processes(table: &mut Table) {
    let words = "$(echo /opt/matrix/venvs/*/bin/python) -c 'import time; time.sleep(1e6)' -m synapse.app.generic_worker --config-path={conf}/workers/ghost.yaml";
    table.add(
        "runs a worker in a unit of their own",
        &format!("systemd-run --quiet --unit=mine {words}"),
        &["process mine.service unowned"],
    );
    table.add(
        "runs a worker by hand",
        &format!("systemd-run --quiet --scope --unit=shell {words} > /dev/null 2>&1 < /dev/null & for i in {{1..100}}; do systemctl is-active --quiet shell.scope && exit; sleep 0.1; done; exit 1"),
        &["process *"],
    );
    table.add(
        "starts a worker that is in no inventory",
        "systemctl start --no-block matrix_generic_worker@ghost.service; sleep 1",
        &["process matrix_generic_worker@ghost.service unowned"],
    );
    table.add(
        "has one started at boot",
        "systemctl enable --quiet matrix_generic_worker@ghost.service",
        &["process matrix_generic_worker@ghost.service unowned"],
    );
    let replace = |program: &str| {
        format!("file=$(readlink -f {program}) && cp -a $file $file.new && mv $file.new $file")
    };
    table.add(
        "renews nginx behind its back",
        &replace("/usr/sbin/nginx"),
        &["program /usr/sbin/nginx outdated"],
    );
    table.add(
        "renews Redis behind its back",
        &replace("/usr/bin/redis-server"),
        // Its program is at a path of its own namespace; then only its name is known.
        &["program *"],
    );
    table.add(
        "renews a library that Synapse has loaded",
        &replace("{site}/psycopg2/_psycopg.*.so"),
        &["program *"],
    );
}

fn configuration(table: &mut Table) {
    let file = "{conf}/conf.d/mine.yaml";
    let undo = format!("rm {file}");
    let overridden = format!("configuration {file} overridden");
    table.undone(
        "replaces what follows from the inventory in conf.d",
        &format!("echo 'instance_map: {{}}' > {file}"),
        &[&overridden],
        &undo,
    );
    table.undone(
        "overrides the inventory in conf.d",
        &format!("echo 'report_stats: true' > {file}"),
        &[&overridden],
        &undo,
    );
    table.add(
        "adds to conf.d and restarts nothing",
        &format!("echo 'user_agent_suffix: mine' > {file}"),
        &[&format!("configuration {file} outdated")],
    );
}

fn datastores(table: &mut Table) {
    table.add(
        "edits Redis' file",
        "echo 'maxclients 500' >> /etc/redis/redis-matrix.conf",
        &["file /etc/redis/redis-matrix.conf content"],
    );
    table.add(
        "opens Redis' file to all",
        "chmod 0644 /etc/redis/redis-matrix.conf",
        &["file /etc/redis/redis-matrix.conf rights"],
    );
    let redis = "eval \"$(sed -nE 's/^(bind|port) ([^ ]+).*/\\1=\\2/p' /etc/redis/redis-matrix.conf)\"; REDISCLI_AUTH=$(cat {conf}/secrets/redis 2> /dev/null) redis-cli -h $bind -p $port CONFIG SET";
    table.add("makes Redis write to disk", &format!("{redis} appendonly yes"), &["redis appendonly setting"]);
    table.add(
        "changes how long Redis keeps connections",
        &format!("{redis} tcp-keepalive 77"),
        &["redis tcp-keepalive setting"],
    );
    table.add("changes when Redis saves", &format!("{redis} save '900 1'"), &["redis save setting"]);
    table.add("changes Redis' password", &format!("{redis} requirepass another"), &["redis {redis} setting"]);
    table.add(
        "stops PostgreSQL",
        "systemctl stop postgresql.service",
        &["service postgresql.service stopped"],
    );
    table.add(
        "stops the cluster of PostgreSQL alone",
        "systemctl stop 'postgresql@*'",
        &["service postgresql.service stopped"],
    );
    let setting = ["postgresql matrix setting"];
    table.add(
        "lowers max_connections",
        "{psql} -c 'ALTER SYSTEM SET max_connections = 20' && systemctl restart 'postgresql@*'",
        &setting,
    );
    table.add("takes the right to log in from our role", "{psql} -c 'ALTER ROLE matrix NOLOGIN'", &setting);
    table.add("changes our role's password", "{psql} -c \"ALTER ROLE matrix PASSWORD 'another'\"", &setting);
    table.undone(
        "gives our database away",
        "{psql} -c 'ALTER DATABASE matrix OWNER TO postgres'",
        &setting,
        "{psql} -c 'ALTER DATABASE matrix OWNER TO matrix'",
    );
}

fn packages(table: &mut Table) {
    let venv = ["venv *"];
    table.undone(
        "adds a file to the venv",
        "echo 'x = 1' > {site}/sitecustomize.py",
        &venv,
        "rm {site}/sitecustomize.py",
    );
    table.undone(
        "deletes a file of the venv",
        "mv {site}/synapse/py.typed /root/kept",
        &venv,
        "mv /root/kept {site}/synapse/py.typed",
    );
    table.undone(
        "edits a script of the venv",
        "cp -a {venv}/bin/synapse_worker /root/kept; echo >> {venv}/bin/synapse_worker",
        &venv,
        "mv /root/kept {venv}/bin/synapse_worker",
    );
    table.undone(
        "installs another version of a package",
        "d=$(echo {site}/bcrypt-*.dist-info); echo $d > /root/name; mv $d {site}/bcrypt-0.dist-info",
        &venv,
        "mv {site}/bcrypt-0.dist-info $(cat /root/name)",
    );
    table.add("edits a file of the venv", "echo '# mine' >> {site}/synapse/__init__.py", &venv);
    table.undone(
        "breaks the venv's interpreter",
        "mv {venv}/bin/python /root/python",
        &venv,
        "mv /root/python {venv}/bin/python",
    );
    table.undone(
        "holds a package that is renewed all the same",
        "apt-mark hold nginx > /dev/null; touch /var/lib/dpkg/info/nginx.list",
        &["packages nginx renewed"],
        "apt-mark unhold nginx > /dev/null",
    );
}

fn proxy(table: &mut Table) {
    let file = "$(grep -rl 'matrix_sync' /etc/nginx {root}/nginx 2> /dev/null | head -n 1)";
    table.add("edits nginx' routes", &format!("echo '# mine' >> {file}"), &["file *"]);
    table.add(
        "edits nginx' routes and reloads it",
        &format!("echo '# mine' >> {file}; systemctl reload nginx"),
        &["file *"],
    );
    table.add("deletes nginx' routes", &format!("rm {file}"), &["file *"]);
    table.add(
        "has nginx serve an edit and takes it back",
        &format!("file={file}; cp -a $file /root/kept; echo '# mine' >> $file; systemctl reload nginx; sleep 1; cat /root/kept > $file"),
        &["service nginx.service outdated"],
    );
    table.add(
        "lowers worker_connections",
        "sed -i -E 's/worker_connections [0-9]+/worker_connections 64/' /etc/nginx/nginx.conf",
        &["directive /etc/nginx/nginx.conf setting"],
    );
    let certificate = |change: &str| format!("certificate {{certificate}} {change}");
    table.add(
        "renews the certificate and does not reload nginx",
        "touch {certificate}",
        &[&certificate("outdated")],
    );
    let folder = "/etc/ssl/synprov-lab";
    table.undone(
        "deletes the certificate",
        &format!("mv {{certificate}} {folder}/kept"),
        &[&certificate("removed")],
        &format!("mv {folder}/kept {{certificate}}"),
    );
    table.undone(
        "writes garbage into the certificate",
        &format!("cp -a {{certificate}} {folder}/kept; echo x > {{certificate}}"),
        &[&certificate("content")],
        &format!("mv {folder}/kept {{certificate}}"),
    );
    let (ending, key) = crate::certificate::ending();
    table.undone(
        "lets the certificate come near its end",
        &format!("cd {folder} && cp -a fullchain.pem kept && cp -a privkey.pem kept-key && cat > fullchain.pem <<'X'\n{ending}X\ncat > privkey.pem <<'X'\n{key}X\nsystemctl reload nginx; sleep 1"),
        &[&certificate("expiring")],
        &format!("cd {folder} && mv kept fullchain.pem && mv kept-key privkey.pem && systemctl reload nginx; sleep 1"),
    );
}

fn haproxy(table: &mut Table) {
    let (file, unit) = ("/etc/haproxy/matrix.cfg", "matrix_haproxy.service");
    let content = format!("file {file} content");
    table.add("edits haproxy's routes", &format!("echo '# mine' >> {file}"), &[&content]);
    table.add(
        "edits haproxy's routes and reloads it",
        &format!("echo '# mine' >> {file}; systemctl reload {unit}"),
        &[&content],
    );
    table.add("deletes haproxy's routes", &format!("rm {file}"), &[&format!("file {file} removed")]);
    table.add("stops haproxy", &format!("systemctl stop {unit}"), &[&format!("service {unit} stopped")]);
    table.add(
        "disables haproxy",
        &format!("systemctl disable --quiet {unit} 2> /dev/null"),
        &[&format!("service {unit} disabled")],
    );
    table.add(
        "has haproxy serve an edit and takes it back",
        &format!("file={file}; cp -a $file /root/kept; echo '# mine' >> $file; systemctl reload {unit}; sleep 1; cat /root/kept > $file"),
        &[&format!("service {unit} outdated")],
    );
    table.add(
        "edits haproxy's unit",
        &format!("sed -i 's/^Description=.*/Description=mine/' {{system}}/{unit} && systemctl daemon-reload"),
        &[&format!("file {{system}}/{unit} content")],
    );
}

/// What is nobody's drift: `drift` stays silent.
fn harmless(table: &mut Table) {
    table.undone(
        "(harmless) lets the distribution renew a package",
        "touch /var/lib/dpkg/info/nginx.list",
        &[],
        "true",
    );
    table.undone(
        "(harmless) renews the certificate and reloads nginx",
        "touch {certificate}; systemctl reload nginx; sleep 1",
        &[],
        "true",
    );
    table.undone("(harmless) restarts a worker", "systemctl restart {client}", &[], "true");
    table.undone(
        "(harmless) touches every file of the venv",
        "find {venv} -type f -exec touch {} +",
        &[],
        "true",
    );
    table.undone(
        "(harmless) has a drop-in for nginx of their own",
        "printf '[Service]\\nNice=1\\n' > {system}/nginx.service.d/mine.conf && systemctl daemon-reload",
        &[],
        "rm {system}/nginx.service.d/mine.conf && systemctl daemon-reload",
    );
    table.undone("(harmless) keeps a key of their own in conf.d", "echo 'user_agent_suffix: mine' > {conf}/conf.d/mine.yaml && touch -d 2020-01-01 {conf}/conf.d/mine.yaml", &[], "rm {conf}/conf.d/mine.yaml");
}
