#pragma once
/*
 * The tables, as a list of migrations: step i brings a database from user_version i to i + 1.
 * A step that has shipped is never changed; a new one is appended.
 */
static const char *const store_migrations[] = {
	"CREATE TABLE network ("
	" name TEXT PRIMARY KEY, cidr INTEGER NOT NULL, prefix INTEGER NOT NULL, gateway INTEGER "
	"NOT NULL,"
	" dns TEXT NOT NULL, mtu INTEGER NOT NULL, nat INTEGER NOT NULL, isolated INTEGER NOT NULL,"
	" created_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE vm ("
	" id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,"
	" image TEXT NOT NULL, digest TEXT NOT NULL,"
	" network TEXT NOT NULL REFERENCES network (name),"
	" engine TEXT NOT NULL, engine_used TEXT NOT NULL, transport INTEGER NOT NULL, root "
	"INTEGER NOT NULL,"
	" vcpus INTEGER NOT NULL, ram_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL,"
	" boot_args TEXT NOT NULL, labels TEXT NOT NULL, state INTEGER NOT NULL, want_delete "
	"INTEGER NOT NULL,"
	" cause TEXT NOT NULL, cause_text TEXT NOT NULL, remedy TEXT NOT NULL, starts INTEGER NOT "
	"NULL,"
	" shim_pid INTEGER NOT NULL, shim_ticks INTEGER NOT NULL,"
	" engine_pid INTEGER NOT NULL, engine_ticks INTEGER NOT NULL, boot_id TEXT NOT NULL,"
	" created_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,"
	" UNIQUE (user_id, name)) STRICT, WITHOUT ROWID;"

	/* A lease goes only when its VM's process has been reaped; RESTRICT makes a slip an
	 * error. */
	"CREATE TABLE lease ("
	" number INTEGER PRIMARY KEY, vm TEXT NOT NULL UNIQUE REFERENCES vm (id) ON DELETE "
	"RESTRICT,"
	" network TEXT NOT NULL REFERENCES network (name) ON DELETE RESTRICT,"
	" slot INTEGER NOT NULL, ip INTEGER NOT NULL, mac BLOB NOT NULL UNIQUE, UNIQUE (network, "
	"slot)) STRICT;"

	"CREATE TABLE event ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, vm TEXT NOT NULL, wall_us INTEGER NOT NULL,"
	" mono_us INTEGER NOT NULL, kind TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT "
	"NOT NULL,"
	" actor TEXT NOT NULL, text TEXT NOT NULL) STRICT;"
	"CREATE INDEX event_of_vm ON event (vm, seq);"

	"CREATE TABLE token ("
	" id TEXT PRIMARY KEY, user_id TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, role INTEGER NOT "
	"NULL,"
	" created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE idempotency ("
	" user_id TEXT NOT NULL, key TEXT NOT NULL, request_hash TEXT NOT NULL, vm TEXT NOT NULL,"
	" created_us INTEGER NOT NULL, PRIMARY KEY (user_id, key)) STRICT, WITHOUT ROWID;",
};
