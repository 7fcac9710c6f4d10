"""Mutants that no test can notice, by the reason."""

EXPLAINED: dict[str, tuple[str, ...]] = {
    "the other operand is never taken: it is there for the type checker": (
        'web/forms.py stored drop operand: session.recurrence or "" => ((session.recurrence))',
        'web/blueprint.py _away drop operand: request.endpoint or "" => ((request.endpoint))',
        "core/db/transactions.py wrap_psycopg2 drop operand: error.orig or error => ((error.orig))",
        "core/store/planning/instances.py make drop operand: start or time.min => ((start))",
        (
            "scheduler/daemon/worker.py Worker._work drop operand: edge and not self._outage.isolate and "
            "self._agenda.take_ahead(edge) => ((not self._outage.isolate) and "
            "(self._agenda.take_ahead(edge)))"
        ),
        (
            "core/db/prepared.py _prepared drop operand: not isinstance(compiled, SQLCompiler) or ... "
            "(SelectBase, UpdateBase)) => ((not isinstance(compiled.statement, (SelectBase, UpdateBase))))"
        ),
        "web/blueprint.py _board_reader.read drop filter: shows.person_id is not None => True",
        "web/blueprint.py _board_reader.read drop filter: shows.session_id is not None => True",
        "web/blueprint.py _refuse drop operand: request.view_args or {} => ((request.view_args))",
        (
            "web/dates.py of_instance drop operand: instance.occurrence_start and instance.occurrence_end => "
            "((instance.occurrence_end))"
        ),
        (
            "web/dates.py of_instance drop operand: instance.occurrence_start and instance.occurrence_end => "
            "((instance.occurrence_start))"
        ),
        "web/forms.py _breaks drop operand: begins and ends => ((ends))",
        "web/forms.py _breaks drop operand: begins and ends => ((begins))",
        "web/forms.py _breaks always: begins and ends => True",
        "web/edit.py _first_date always: found.start.date() if found else day => (found.start.date())",
        'web/dates.py today drop operand: session.timezone or "" => ((session.timezone))',
        'web/dates.py is_over drop operand: session.timezone or "" => ((session.timezone))',
        'web/forms.py _recurrence drop operand: text and fields.shape == "text" => ((fields.shape == "text"))',
        "core/store/presence/yeses.py left_since always: left_at is not None => True",
        "core/reconcile/batches.py _in_parallel drop filter: isinstance(result, ReconcileResult) => True",
        (
            "core/store/notify.py queue_usage drop operand: connection.scalar(_QUEUE_USAGE) or 0 => "
            "((connection.scalar(_QUEUE_USAGE)))"
        ),
    ),
    "a clock that runs is not read at exactly that instant": (
        (
            "scheduler/daemon/heartbeat.py Heartbeat.follow_clock move boundary: abs(offset - "
            "self._skew_reported) > SKEW_CHANGED => (abs(offset - self._skew_reported)) >= (SKEW_CHANGED)"
        ),
        (
            "scheduler/daemon/heartbeat.py Heartbeat.follow_clock move boundary: max(abs(offset), "
            "abs(self._skew_reported)) > SKEW_REPORTED => (max(abs(offset), abs(self._skew_reported))) >= "
            "(SKEW_REPORTED)"
        ),
        "scheduler/daemon/heartbeat.py Heartbeat.follow_clock move boundary: apart > WAS_SET => (apart) >= (WAS_SET)",
        (
            "scheduler/daemon/__init__.py Daemon._watch move boundary: rounds[name] * WATCH_SECONDS > "
            "WEDGED_SECONDS => (rounds[name] * WATCH_SECONDS) >= (WEDGED_SECONDS)"
        ),
        (
            "core/store/views/pages.py repairs_by_sweep move boundary: log.done_at > "
            "func.statement_timestamp() - since => (log.done_at) >= (func.statement_timestamp() - since)"
        ),
        "core/store/views/schedule.py _edges move boundary: edge > now => (edge) >= (now)",
        "core/store/views/schedule.py _edges move boundary: edge <= now + within => (edge) < (now + within)",
        "core/store/views/reports.py overdue move boundary: window.opens_at < before => (window.opens_at) <= (before)",
        (
            "core/store/views/reports.py overdue move boundary: window.planned_at < before => "
            "(window.planned_at) <= (before)"
        ),
        (
            "core/store/views/reports.py overdue move boundary: window.closes_at < before => "
            "(window.closes_at) <= (before)"
        ),
        (
            "core/store/views/reports.py overdue move boundary: window.planned_at < before => "
            "(window.planned_at) <= (before) #2"
        ),
        (
            "core/store/views/reports.py overdue move boundary: PlanRequest.requested_at < before => "
            "(PlanRequest.requested_at) <= (before)"
        ),
        (
            "core/store/views/reports.py misses move boundary: log.done_at > func.statement_timestamp() - "
            "since => (log.done_at) >= (func.statement_timestamp() - since)"
        ),
        (
            "core/store/views/reports.py prune move boundary: ActivationLog.done_at < before => "
            "(ActivationLog.done_at) <= (before)"
        ),
        "core/store/views/reports.py prune move boundary: window.closes_at < before => (window.closes_at) <= (before)",
        (
            "core/store/views/reports.py prune move boundary: SkippedOccurrence.occurrence_start < before => "
            "(SkippedOccurrence.occurrence_start) <= (before)"
        ),
        (
            "core/db/listener.py Listener.listening_since move boundary: time.monotonic() - self._received_at"
            " < s ... seconds + OVERDUE_SECONDS => (time.monotonic() - self._received_at) < ... econds + "
            "OVERDUE_SECONDS)"
        ),
        (
            "core/db/listener.py Listener._pause move boundary: (left := until - time.monotonic()) > 0 => "
            "(left := until - time.monotonic()) >= (0)"
        ),
        (
            "core/db/listener.py Listener._receives_private move boundary: (left := deadline - "
            "time.monotonic()) <= 0 => (left := deadline - time.monotonic()) < (0)"
        ),
        (
            "scheduler/daemon/wakeups.py Wakeups.take move boundary: (left := deadline - time.monotonic()) > "
            "0 => (left := deadline - time.monotonic()) >= (0)"
        ),
        (
            "core/db/pauses.py Pauses.after_failure move boundary: time.monotonic() - self._begun > "
            "self._last => (time.monotonic() - self._begun) >= (self._last)"
        ),
        (
            "scheduler/daemon/clock_offset.py ClockOffset.stepped move boundary: abs(step) < STEP_SECONDS => "
            "(abs(step)) <= (STEP_SECONDS)"
        ),
        (
            "scheduler/daemon/outage.py Outage.isolate move boundary: time.monotonic() < self._isolate_until "
            "=> (time.monotonic()) <= (self._isolate_until)"
        ),
        (
            "core/store/queue/due.py _searches move boundary: requested_at <= clock - _GRACE => "
            "(requested_at) < (clock - _GRACE)"
        ),
        "core/store/queue/due.py _searches move boundary: requested_at > clock => (requested_at) >= (clock)",
        (
            "core/store/queue/due.py _requested move boundary: plan.failed_at >= request.requested_at => "
            "(plan.failed_at) > (request.requested_at)"
        ),
        (
            "core/store/queue/due.py _is_backing_off move boundary: SessionPlan.retry_at <= at + "
            "LONGEST_RETRY => (SessionPlan.retry_at) < (at + LONGEST_RETRY)"
        ),
        (
            "core/store/heartbeats.py end move boundary: row.beat_at < now - FORGOTTEN_AFTER => (row.beat_at)"
            " <= (now - FORGOTTEN_AFTER)"
        ),
        (
            "core/store/heartbeats.py ended move boundary: row.beat_at > func.clock_timestamp() - "
            "FORGOTTEN_AFTER => (row.beat_at) >= (func.clock_timestamp() - FORGOTTEN_AFTER)"
        ),
        (
            "core/store/heartbeats.py has_reconciled_within move boundary: daemon.beat_at > now - beats => "
            "(daemon.beat_at) >= (now - beats)"
        ),
        (
            "scheduler/daemon/worker.py Worker._was_early move boundary: ahead > "
            "timedelta(seconds=TICK_SECONDS) => (ahead) >= (timedelta(seconds=TICK_SECONDS))"
        ),
        "core/reconcile/batches.py _halves move boundary: time.monotonic() > until => (time.monotonic()) >= (until)",
        (
            "core/reconcile/chunk.py _decide move boundary: time.thread_time() - started > PLANNING_ ... "
            "CH_SECONDS * len(decided) => (time.thread_time() - started) >= (PLANN ... H_SECONDS * "
            "len(decided))"
        ),
    ),
    "the shorter way to the same value: the other takes four times as long, for each date that is read": (
        "core/db/casts.py _bounded.read never: first.year <= found.year < last.year => False",
        (
            "core/db/casts.py _bounded.read move boundary: first.year <= found.year < last.year => "
            "(first.year) < (found.year) < (last.year)"
        ),
    ),
    "the two calls know nothing of each other": (
        (
            "scheduler/daemon/agenda.py Agenda.note_round swap: self.backoff.clear(finished) "
            "self.backoff.add(deferred, now) => self.backoff.add(deferred, now) self.backoff.clear(finished)"
        ),
        (
            "scheduler/daemon/agenda.py Agenda.finish swap: self._pending.discard(task) self._found.pop(task,"
            " None) => self._found.pop(task, None) self._pending.discard(task)"
        ),
        (
            "core/reconcile/chunk.py reconcile_chunk swap: requests.add(connection, not_requested)  ... d_ in"
            " done - unfinished]) => _finish(connection, [states[id_] for id_ ... onnection, not_requested)"
        ),
        (
            "core/reconcile/presence.py _move swap: unmoved = _request_new(connection, wante ... on, written,"
            " reconciling) => _request_left(connection, written, recon ... ed - joined, reconciling)"
        ),
        (
            'core/db/listener.py Listener._listen_once swap: log.info("listening", channel=self._channel) '
            'self._on_listening() => self._on_listening() log.info("listening", channel=self._channel)'
        ),
        (
            "core/db/listener.py Listener._wait swap: selector.register(connection.fileno(), s ... (), "
            "selectors.EVENT_READ) => selector.register(self._wake_reader.file ... (), selectors.EVENT_READ)"
        ),
        (
            'core/store/queue/retries.py forget swap: connection.execute(_FORGET, {"ids": reco ... : '
            '{*recovered.values()}}) => connection.execute(_RETRY_ALIKE, {"error ... RGET, {"ids": '
            "recovered})"
        ),
        (
            "core/store/planning/plans.py write swap: ids = instances.make(connection, plans)  ... imed for "
            "plan in plans))) => retimed = instances.retime(connection, l ... s.make(connection, plans)"
        ),
        (
            "core/store/planning/plans.py write swap: retimed = instances.retime(connection, l ... nnection, "
            "plans, deleted) => instances.bind(connection, plans, delete ... imed for plan in plans)))"
        ),
        (
            "core/store/views/reports.py prune swap: connection.execute(delete(ActivationLog) ... "
            "ndow.closes_at < before)) => connection.execute(delete(window).where( ... ionLog.done_at < "
            "before))"
        ),
        (
            "core/store/views/reports.py prune swap: connection.execute(delete(window).where( ... "
            "currence_start < before)) => connection.execute(delete(SkippedOccurre ... ndow.closes_at < "
            "before))"
        ),
        (
            "core/store/heartbeats.py end swap: connection.execute(update(row).where(row ... < now - "
            "FORGOTTEN_AFTER)) => connection.execute(delete(row).where(row ... (ended=why, beat_at=now))"
        ),
        (
            "scheduler/daemon/__init__.py Daemon.run swap: signal.signal(signal.SIGTERM, self._on_s ... "
            ".SIGINT, self._on_signal) => signal.signal(signal.SIGINT, self._on_si ... SIGTERM, "
            "self._on_signal)"
        ),
        (
            "scheduler/daemon/__init__.py Daemon._end swap: self._timers.stop() self._listener.stop() => "
            "self._listener.stop() self._timers.stop()"
        ),
        (
            "scheduler/daemon/worker.py Worker._do_ahead swap: self._heartbeat.note_pass(tasks.EDGES.ca ... "
            "asks.EDGES.cause, result) => self._log(tasks.EDGES.cause, result) sel ... S.cause, result, "
            "seconds)"
        ),
        (
            "scheduler/daemon/worker.py Worker._was_early swap: self._timers.add([edge]) # a clock was s ... "
            "lf._agenda.tick.at_once() => self._agenda.tick.at_once() # a clock wa ...  "
            "self._timers.add([edge])"
        ),
        (
            "scheduler/daemon/worker.py Worker._finish swap: self._agenda.finish(task, time.monotonic()) "
            "log_dropped(self._dropped) => log_dropped(self._dropped) self._agenda.finish(task, "
            "time.monotonic())"
        ),
        (
            "scheduler/daemon/worker.py Worker._finish swap: self._timers.keep(self._edges_within(TIM ... "
            "EAD)) self._await_retry() => self._await_retry() self._timers.keep(se ... "
            "ges_within(TIMERS_AHEAD))"
        ),
        (
            'scheduler/daemon/worker.py Worker._finish swap: log.info("ready", timers=len(self._timers)) '
            'self._on_ready() => self._on_ready() log.info("ready", timers=len(self._timers))'
        ),
        (
            "core/reconcile/batches.py _one_by_one swap: found = search_in(connection, options, s ... un_at ="
            " clock(connection) => begun_at = clock(connection) found = sea ... , options, search, limit)"
        ),
        (
            "web/changing.py keep swap: evenings.release(connection, session_ins ... sion_id], "
            "requests.HOURS) => requests.add_and_notify(connection, [ins ... ion, session_instance_id)"
        ),
        (
            "web/blueprint.py _board_reader.read swap: you = board.read_you(connection, people, ... "
            "ession_ids, snapshot.now) => sessions_ = sessions.versions(connection ... on, people, "
            "snapshot.now)"
        ),
        (
            "core/reconcile/chunk.py ensure swap: _note_opened(connection, written.made, a ... sion_id}, "
            "requests.HOURS) => requests.add_and_notify(connection, {ses ... n.made, activated.result)"
        ),
        (
            "scheduler/daemon/__init__.py Daemon._end swap: self._wakeups.stop(self._why_ending) "
            "self._timers.stop() => self._timers.stop() self._wakeups.stop(self._why_ending)"
        ),
    ),
    "what it reads besides is not used": (
        (
            "core/store/mirror.py - drop .where: select(SessionInstance.session_instance_ ... "
            "nce.session_instance_id)) => select(SessionInstance.session_instance_id)"
        ),
        (
            "core/store/flips.py - drop .where: select( ActiveInstance.session_id, Activ ... "
            "tiveInstance.session_id)) => select( ActiveInstance.session_id, Activ ... ANT, Text(), "
            "INSTANT)), )"
        ),
        (
            "core/store/planning/instances.py _referring drop .where: "
            "select(reference).select_from(table(name ... ).where(is_in(reference)) => "
            "select(reference).select_from(table(name, reference, schema=schema))"
        ),
        (
            "core/store/planning/snapshots.py _instances_since drop condition: "
            "select(SessionInstance.session_instance_ ... nInstance.date >= since ) => "
            "select(SessionInstance.session_instance_ ... onInstance.date >= since)"
        ),
        (
            "core/store/planning/snapshots.py _instances_since drop condition: "
            "select(SessionInstance.session_instance_ ... nInstance.date >= since ) => "
            "select(SessionInstance.session_instance_ ... sionInstance.session_id))"
        ),
        (
            "core/store/planning/snapshots.py _instances_since drop condition: "
            "select(PlannedInstance.session_instance_ ... rence_start >= midnight ) => "
            "select(PlannedInstance.session_instance_ ... rrence_start >= midnight)"
        ),
        (
            "core/store/planning/snapshots.py _instances_since drop condition: "
            "select(PlannedInstance.session_instance_ ... rence_start >= midnight ) => "
            "select(PlannedInstance.session_instance_ ... nnedInstance.session_id))"
        ),
        (
            "core/store/planning/snapshots.py - drop condition: select(SkippedOccurrence.session_id, Ski ... "
            ', type_=LocalDateTime), ) => select(SkippedOccurrence.session_id, Ski ... t", '
            "type_=LocalDateTime))"
        ),
        (
            "core/store/presence/yeses.py _is_recent_yes drop .where: "
            'select(func.min(live.session_instance_id)).where(live.phase != "over") => '
            "select(func.min(live.session_instance_id))"
        ),
        (
            "core/store/presence/yeses.py - drop condition: select( SessionInstancePerson.person_id, ... "
            '"lately", type_=INSTANT)) => select( SessionInstancePerson.person_id, ... "lately", '
            "type_=INSTANT))"
        ),
        (
            "core/store/sessions.py - drop .where: select(MusicSession.__table__) .where(Mu ... "
            '(array("names", Text()))) => select(MusicSession.__table__)'
        ),
    ),
    "nobody updates a mirror row, so the two locks keep out the same transactions": (
        "core/store/presence/locations.py _move turn flag: key_share=True => key_share=False #2",
    ),
    "who or what does not exist has said nothing, so the write changes nothing before the error": (
        (
            "core/hooks.py leave swap: session_id = _require_parties(connection ... ion_instance_id, now=now)"
            " => check_ins.leave(connection, person_id, s ... _id, session_instance_id)"
        ),
        (
            "core/hooks.py remove_check_in swap: session_id = _require_parties(connection ... _id, "
            "session_instance_id) => check_ins.remove(connection, person_id,  ... _id, session_instance_id)"
        ),
    ),
    "a round of twice as many sessions, one by one, leaves edges waiting for longer, and does the same": (
        (
            "core/reconcile/batches.py reconcile drop operand: isinstance(db, Engine) and not one_by_one => "
            "((isinstance(db, Engine)))"
        ),
    ),
    "PostgreSQL sorts for a window function in this order; only ORDER BY promises it": (
        (
            "core/store/views/boards.py _people_at drop .order_by: select(*columns) .where(ranked.c.place < "
            '... ked.c.at, ranked.c.place) => select(*columns) .where(ranked.c.place < ... "most", '
            "type_=Integer()))"
        ),
    ),
    "only the first row is read: without the bound the server finds the others for nothing": (
        (
            "core/store/views/readings.py - drop .limit: select(ActivationLog.session_id) .where( ... er())) "
            '.limit(literal(1)) => select(ActivationLog.session_id) .where( ... id", type_=BigInteger()))'
        ),
    ),
    "the same rows: it lets PostgreSQL read a few instances of a session, and not all": (
        (
            "core/store/views/boards.py _in_towns drop condition: statement.join(towns.table, is_there).wh "
            "... .closes_at > since, near) => statement.join(towns.table, is_there).wh ... window.closes_at >"
            " since)"
        ),
    ),
    "it saves the question whether our role may read the choices: every role that reconciles may": (
        "core/store/older_columns.py differing turn flag: may_read=True => may_read=False",
        "core/store/older_columns.py bring_into_line turn flag: may_read=True => may_read=False",
    ),
    "it waits for nobody": (
        (
            "core/store/older_columns.py _set_bits drop .order_by: select(id_).where(_differs(OLDER_ACTIVE, "
            "of, name)).order_by(id_) => select(id_).where(_differs(OLDER_ACTIVE, of, name))"
        ),
        "core/store/older_columns.py _lock_people drop .order_by: free.order_by(of.c.person_id) => free",
    ),
    "for who is gone nothing is found either; the type checker asks for it": (
        "core/reconcile/presence.py move_person never: locked_at is None => False",
    ),
    "it only forbids PostgreSQL a slower way, which it does not take in our tests": (
        (
            "core/store/presence/yeses.py _live_windows_of_check_in drop .offset: select(window.session_id, "
            'window.opens_a ... ver") .offset(literal(0)) => select(window.session_id, window.opens_a ... , '
            'window.phase != "over")'
        ),
        (
            "core/store/queue/due.py _bits_and_windows_that_disagree drop .offset: "
            "select(literal(1)).where(same).offset(literal(0)) => select(literal(1)).where(same)"
        ),
    ),
    "it waits for nobody; the order helps one of two passes that want the same rows to get all of them": (
        (
            "core/store/presence/locations.py _who_said_yes drop .order_by: "
            "select(check_in.session_instance_id, che ... er_by(check_in.person_id) => "
            'select(check_in.session_instance_id, che ... k_in.attendance == "yes")'
        ),
        (
            "core/store/presence/locations.py - drop .order_by: select(Person.person_id) .where(is_in(Pe ... "
            "rder_by(Person.person_id) => select(Person.person_id) .where(is_in(Person.person_id))"
        ),
        (
            "core/store/queue/requests.py - drop .order_by: select(SessionPlan.session_id) .where(is ... "
            "y(SessionPlan.session_id) => select(SessionPlan.session_id) "
            ".where(is_in(SessionPlan.session_id))"
        ),
    ),
    "the two are of one length": (
        "core/store/planning/instances.py - turn flag: strict=True => strict=False",
        "core/store/arrays.py ValueTable.__init__ turn flag: strict=True => strict=False",
        "core/store/arrays.py ValueTable.of turn flag: strict=True => strict=False",
        "core/store/arrays.py ValueTable.of turn flag: strict=True => strict=False #2",
    ),
    "an id is above 0, and the planner's key of a row to be made below": (
        (
            "core/store/planning/plans.py _windows move boundary: (row := made.get((plan.session_id, span. "
            "... session_instance_id)) > 0 => (row := made.get((plan.session_id, span. ... sion_instance_id))"
            " >= (0)"
        ),
    ),
    "any of them may go first; by the order PostgreSQL takes the index": (
        (
            "core/store/queue/requests.py - drop .order_by: select(PlanRequest.request_id) .where(~e ... "
            "y(PlanRequest.request_id) => select(PlanRequest.request_id) .where(~e ...  "
            "PlanRequest.session_id))"
        ),
    ),
    "what is there already stays as it is; it keeps most rows from being tried": (
        (
            "core/store/queue/requests.py - drop .where: select(MusicSession.session_id).where(~e ... "
            "MusicSession.session_id)) => select(MusicSession.session_id)"
        ),
        (
            "core/store/queue/retries.py - drop condition: select(SessionPlan.session_id) .where(Se ... "
            'array("errors", Text()))) => select(SessionPlan.session_id) .where(Se ... array("errors", '
            "Text())))"
        ),
    ),
    "a part that does not end is ended with the process, by os._exit": (
        "scheduler/daemon/__init__.py Daemon.run turn flag: daemon=True => daemon=False",
        "core/reconcile/batches.py _in_parallel turn flag: daemon=True => daemon=False",
    ),
    "the statements may run in any order": (
        (
            "core/reconcile/warm_up.py warm_up swap: requests.lock_plans(connection, NO_IDS)  ... "
            "tates(connection, NO_IDS) => requests.plan_states(connection, NO_IDS) ... plans(connection, "
            "NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: requests.plan_states(connection, NO_IDS) ... "
            "_read(connection, NO_IDS) => requests.delete_read(connection, NO_IDS) ... tates(connection, "
            "NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: requests.delete_read(connection, NO_IDS) ... on, NO_IDS,"
            " EPOCH.date()) => snapshots.snapshots(connection, NO_IDS,  ... _read(connection, NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: snapshots.snapshots(connection, NO_IDS,  ... onnection, "
            "[plan], EPOCH) => plans.lock_for(connection, [plan], EPOCH ... on, NO_IDS, EPOCH.date())"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: plans.lock_for(connection, [plan], EPOCH ... h=EPOCH, "
            'zone_version="") => plans.write(connection, [plan], EPOCH, s ... onnection, [plan], EPOCH)'
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: plans.write(connection, [plan], EPOCH, s ... onnection, "
            'NO_IDS, EPOCH) => flips.states(connection, NO_IDS, EPOCH)  ... h=EPOCH, zone_version="")'
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: flips.states(connection, NO_IDS, EPOCH)  ... "
            "r(connection, [decision]) => flips.lock_for(connection, [decision]) f ... onnection, NO_IDS, "
            "EPOCH)"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: flips.lock_for(connection, [decision]) f ... ause.START,"
            " done_at=None) => flips.write(connection, [decision], caus ... r(connection, [decision])"
        ),
        (
            "core/reconcile/warm_up.py warm_up swap: flips.write(connection, [decision], caus ... "
            "arm_up_people(connection) => _warm_up_people(connection) flips.write( ... ause.START, "
            "done_at=None)"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: locations.at(connection, NO_IDS) "
            "locations.lock(connection, NO_IDS) => locations.lock(connection, NO_IDS) "
            "locations.at(connection, NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: locations.lock(connection, NO_IDS) locat ... "
            "d_yes(connection, NO_IDS) => locations.lock_who_said_yes(connection,  ... .lock(connection, "
            "NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: locations.lock_who_said_yes(connection,  ... on,"
            " NO_IDS, EPOCH.date()) => locations.affected_by(connection, NO_IDS ... d_yes(connection, NO_IDS)"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: locations.affected_by(connection, NO_IDS ... "
            "ove(connection, {-1: -1}) => locations.move(connection, {-1: -1}) loc ... on, NO_IDS, "
            "EPOCH.date())"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: locations.move(connection, {-1: -1}) yes ... n, "
            "NO_IDS, NO_IDS, EPOCH) => yeses.move_undisputed(connection, NO_IDS ... ove(connection, {-1: -1})"
        ),
        (
            "core/reconcile/warm_up.py _warm_up_people swap: yeses.move_undisputed(connection, NO_IDS ... "
            "onnection, NO_IDS, EPOCH) => yeses.by_person(connection, NO_IDS, EPOC ... n, NO_IDS, NO_IDS, "
            "EPOCH)"
        ),
    ),
    "what is read is at one of these instances, so not nowhere: the type checker asks for it": (
        "core/store/presence/locations.py at drop filter: instance_id => True",
    ),
    "so the clock is measured a little more exactly": (
        (
            "scheduler/daemon/heartbeat.py Heartbeat.beat swap: self._offset.measure(asked_at, database_ ... "
            ".app_notifies(connection) => self.app_notifies = notify.app_notifies( ... atabase_clock, "
            "utc_now())"
        ),
    ),
    "to count and to log an attempt that flips nothing changes no decision": (
        "scheduler/daemon/worker.py Worker._do_ahead always: result.flips => True",
    ),
    "edges go first, so no other task finds one": (
        (
            "scheduler/daemon/worker.py Worker._was_early always: self._agenda.take_edge() if task is "
            "tasks.EDGES else None => (self._agenda.take_edge())"
        ),
    ),
    "a second later the clock is measured anyway": (
        "scheduler/daemon/worker.py Worker._was_early drop call: self._agenda.tick.at_once() => pass",
    ),
    "they have timers already": (
        "scheduler/daemon/worker.py Worker._finish always: task in (tasks.NOTIFICATIONS, tasks.POLL) => True",
    ),
    "what it frees would only take memory": (
        "scheduler/daemon/worker.py Worker._finish drop call: gc.collect() => pass",
    ),
    "a round of exactly so many sessions may go either way": (
        (
            "core/reconcile/batches.py _chunks move boundary: 0 < len(result.deferred) <= CHUNK => (0) < "
            "(len(result.deferred)) < (CHUNK)"
        ),
        "core/reconcile/batches.py _one_round move boundary: len(found) > CHUNK => (len(found)) >= (CHUNK)",
    ),
    "one session alone then tells the same": (
        "core/reconcile/batches.py _together never: is_disconnected(error) => False",
        (
            "core/reconcile/batches.py _one_round drop operand: compares or not found or "
            "is_disconnected(error) => ((compares) or (not found))"
        ),
    ),
    "no row has this id": ("web/blueprint.py _refuse move boundary: value > LARGEST_ID => (value) >= (LARGEST_ID)",),
    "the page then asks the database first, and gets no answer": (
        "web/blueprint.py _away drop statement: g.seisiun_viewer = nobody() => pass",
    ),
    "of two rules of one address the first counts": (
        (
            "web/blueprint.py create_blueprint.mount drop operand: state.url_prefix and not "
            'state.url_prefix.endswith("/") => ((state.url_prefix))'
        ),
    ),
    "the reader of documents accepts nothing yet that rows would change": (
        (
            "web/forms.py stored drop operand: is_same and len(as_rows.rows) <= MOST_ROWS => "
            "((len(as_rows.rows) <= MOST_ROWS))"
        ),
    ),
    "only a hook tells of it": (
        (
            "core/reconcile/chunk.py _plan always: _left_behind(connection, free, frozenset ... f "
            "options.is_hook else () => (_left_behind(connection, free, frozenset(written.deleted)))"
        ),
    ),
    "it spares a question about nobody": (
        (
            "web/instances.py _evening always: pages.said(connection, session_instance_ ... d) if person_id "
            "else None => (pages.said(connection, session_instance_id, person_id))"
        ),
        (
            "web/instances.py _evening always: whereabouts(connection, person_id) if person_id else None => "
            "(whereabouts(connection, person_id))"
        ),
        (
            "web/sessions.py page always: pages.said_of(connection, existing, person_id) if person_id else {}"
            " => (pages.said_of(connection, existing, person_id))"
        ),
        "web/sessions.py versions never: not session_ids => False",
    ),
    "the page shows it only of what is off": (
        (
            "web/instances.py _evening always: _that_day(connection, instance, session) if instance.is_off "
            "else [] => (_that_day(connection, instance, session))"
        ),
    ),
    "no other session is in a town without a name": ("web/instances.py _that_day never: not session.city => False",),
    "NULL is the id of no instance": (
        "core/reconcile/presence.py _move drop filter: move.to is not None => True",
        "core/store/older_columns.py bring_into_line drop filter: to is not None => True",
    ),
    "an empty reason is none": ("web/forms.py _breaks drop operand: row.why or None => ((row.why))",),
    "what is found is reconciled all the same, and the next comparison tells the error": (
        (
            "core/reconcile/batches.py _one_round drop operand: compares or not found or "
            "is_disconnected(error) => ((not found) or (is_disconnected(error)))"
        ),
    ),
    "the key stays as it was": (
        "core/store/activation_windows.py _insert_or_replace drop slice: columns[2:] => columns",
        "core/store/planning/instances.py _insert_or_rebind drop slice: _BINDING_COLUMNS[1:] => _BINDING_COLUMNS",
    ),
    "an array of ids means the same in any order": (
        "core/store/hold.py until drop order: sorted(session_ids) => list(session_ids)",
    ),
    "no queue is read when it is full to exactly nine tenths": (
        (
            "core/store/notify.py - move boundary: func.pg_notification_queue_usage() >= _ALMOST_FULL => "
            "(func.pg_notification_queue_usage()) > (_ALMOST_FULL)"
        ),
    ),
    "PostgreSQL takes a missing payload for an empty one": (
        (
            'core/store/notify.py at_commit never: "" if instance_id is None else cast(instance_id, Text) => '
            "(cast(instance_id, Text))"
        ),
    ),
}
