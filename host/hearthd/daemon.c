/*
 * hearthd serving: directories, limits, the controller, the API, signals; in this order, so that
 * whoever can connect finds everything adopted.
 * Called by main.c; one thread, the loop's (and the loop's workers).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/control.h"
#include "hearthd/conf.h"
#include "hearthd/hearthd.h"
#include "loop/loop.h"
#include "rest/rest.h"

#define FILES_PER_VM 8	 /* TAP, QMP, pidfd, console, … */
#define FILES_SPARE  256 /* database, images, helper programs */

static int need_root(struct err *e)
{
	if (geteuid() == 0)
		return 0;
	(void)err_set(e, -EPERM, ERR_HOST, "hearthd.not-root",
		      "hearthd runs as user id %u, but it makes network namespaces, TAPs and "
		      "users' processes: "
		      "it needs root",
		      (unsigned)geteuid());
	return err_remedy(e, "start it with sudo, or by its systemd unit");
}

/* As many descriptors as the most connections and VMs can need, or as the host grants. */
static void raise_files(const struct conf *c)
{
	rlim_t want = c->max_connections + FILES_PER_VM * LIMIT_VMS + FILES_SPARE;
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) || now.rlim_cur >= want)
		return;
	if (now.rlim_max < want)
		now.rlim_max = want;
	now.rlim_cur = want;
	if (!setrlimit(RLIMIT_NOFILE, &now))
		return;
	(void)getrlimit(RLIMIT_NOFILE, &now); /* worked above */
	now.rlim_cur = now.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &now); /* raising to the hard limit is always allowed */
	if (now.rlim_cur < c->max_connections + FILES_SPARE)
		log_warn("hearthd.files", LU("limit", now.rlim_cur), LU("wanted", want),
			 LS("text", "fewer connections and VMs than allowed will fit"));
}

/* Engines' users must reach their own files, but list nobody's: 0711 (inode(7)). */
static int make_dirs(const struct conf *c, struct err *e)
{
	char db[CONF_TEXT + 16];
	auto_close int fd = -1;
	int rc = fd_mkdirs(c->state_dir, 0711, e);

	if (!rc)
		rc = fd_mkdirs(c->run_dir, 0711, e);
	if (rc)
		return rc;
	/* Made here with its mode, which SQLite gives its journals too: others must not read it. */
	(void)snprintf(db, sizeof(db), "%s/hearth.db", c->state_dir); /* fits */
	fd = open(db, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno != EROFS) /* the store explains a read-only place */
		return err_sys(e, errno, "hearthd.state", "%s", db);
	return 0;
}

static void to_control(const struct conf *c, struct control_conf *r)
{
	*r = (struct control_conf){
		.state_dir = c->state_dir,
		.run_dir = c->run_dir,
		.libexec_dir = c->libexec_dir,
		.recipes_dir = c->recipes_dir,
		.hearthd_path = "/proc/self/exe",
		.instance = c->instance,
		.engine = c->engine,
		.uplink = c->uplink,
		.uid_base = c->uid_base,
		.evidence_ms = c->evidence_ms,
		.grace_ms = c->grace_ms,
		.classes_n = c->classes_n,
		.ram_reserve_mib = (uint32_t)c->ram_reserve_mib,
		.disk_reserve_mib = (uint32_t)c->disk_reserve_mib,
	};
	memcpy(r->limit_ms, c->limit_ms, sizeof(r->limit_ms));
	memcpy(r->classes, c->classes, sizeof(c->classes));
	r->per_host.vms = c->host.vms;
	r->per_host.vcpus = c->host.vcpus;
	r->per_host.ram_mib = (uint32_t)c->host.ram_mib;
	r->per_host.disk_mib = c->host.disk_mib;
	r->per_user.vms = c->user.vms;
	r->per_user.vcpus = c->user.vcpus;
	r->per_user.ram_mib = (uint32_t)c->user.ram_mib;
	r->per_user.disk_mib = c->user.disk_mib;
}

static void to_rest(const struct conf *c, struct rest_conf *r)
{
	const struct group *group = *c->socket_group ? getgrnam(c->socket_group) : NULL;

	*r = (struct rest_conf){
		.socket_path = c->socket,
		.admin_gid = group ? group->gr_gid : (gid_t)-1,
		.tcp = !str_eq(c->listen, "none"),
		.tcp_addr = c->listen_addr,
		.tcp_port = c->listen_port,
		.max_connections = c->max_connections,
		.request_s = (uint32_t)(c->request_ms / 1000),
		.build = hearthd_version,
	};
}

static void on_signal(int signo, void *arg)
{
	if (signo == SIGHUP) {
		log_info("hearthd.hup", LS("text", "nothing is reloaded: the configuration is read "
						   "at start; restart at any "
						   "time, VMs go on"));
		return;
	}
	log_info("hearthd.stopping", LS("signal", strsignal(signo)));
	notify_systemd("STOPPING=1");
	loop_stop(arg);
}

static int take_signals(struct loop *l, struct err *e)
{
	sigset_t set;

	/* a client that hung up is an error of write(2), not our end */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	return loop_signals(l, &set, on_signal, l, e);
}

static int serve(struct loop *l, struct control *control, const struct conf *c, uint64_t begin_ns,
		 struct err *e)
{
	AUTO(rest) rest = NULL;
	struct rest_conf conf;
	int rc;

	to_rest(c, &conf);
	rc = rest_new(l, control, &conf, &rest, e);
	if (rc)
		return rc;
	log_info("hearthd.ready", LS("socket", c->socket), LS("listen", c->listen),
		 LS("state_dir", c->state_dir), LS("version", hearthd_version),
		 LU("took_us", (clock_mono_ns() - begin_ns) / 1000));
	notify_systemd("READY=1");
	return loop_run(l, e);
}

int daemon_run(const struct conf *c, struct err *e)
{
	uint64_t begin_ns = clock_mono_ns();
	AUTO(loop) l = NULL;
	struct control_conf conf;
	struct control *control = NULL;
	int rc = need_root(e);

	if (rc)
		return rc;
	(void)umask(0022); /* modes below are said where things are made */
	raise_files(c);
	rc = make_dirs(c, e);
	if (!rc)
		rc = loop_new(&l, e);
	if (!rc)
		rc = take_signals(l, e); /* before the first worker thread */
	if (rc)
		return rc;
	to_control(c, &conf);
	rc = control_new(l, &conf, &control, e);
	if (rc)
		return rc;
	rc = serve(l, control, c, begin_ns, e);
	control_free(control);
	if (!rc)
		log_info("hearthd.ended", LS("text", "VMs go on"));
	return rc;
}
