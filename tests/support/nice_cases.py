#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The cases of net_nice.sh, side by side: each has an end of ours and one of libnice, and signalling between them. Prints a line for
# each case that is done; the first that fails ends it.
#
#   nice_cases.py FOLDER FZRELAY ICE_PEER NICE_PEER NAMESPACE_OURS NAMESPACE_ROUTER NAMESPACE_NICE [CASE]...
#
# FOLDER: for a log NAME-ours.log, NAME-nice.log of each end. The router's sets blocked4 and blocked6 have ports of ours that it does not
# forward from and to, its set sealed those that reach nothing of its own but the relay.
import asyncio
import os
import re
import sys
import time

FOLDER, FZRELAY, ICE_PEER, NICE_PEER, NS_OURS, NS_ROUTER, NS_NICE, *ONLY = sys.argv[1:]
OURS4, OURS6 = "192.0.2.1", "2001:db8:2::1"
ROUTER4, ROUTER6 = "192.0.2.2", "2001:db8:2::2"
NICE4, NICE6 = "192.0.3.2", "2001:db8:3::2"
RELAY4, RELAY6 = f"{ROUTER4}:3478", f"[{ROUTER6}]:3478"
COTURN = ["-s", "192.0.3.1", "-p", "3479", "-u", "alice", "-w", "secret"]
FIRST_PORT = 5001
UP, MOVE, END = 30, 40, 40  # generous
IDLE = 35
WRONG = re.compile(r"refused |not sent |data of |\w+_peer: |.*-(CRITICAL|WARNING) \*\*|path lost$|failed |state (failed|disconnected)$|.*ERROR: |.*runtime error")


class Failed(Exception):
    pass


class End:
    """A process with its lines. `other` gets its credentials and, unless they are held, its candidates."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.lines, self.held = [], []
        self.hold, self.listens, self.early = False, False, []
        self.allowed = None

    async def start(self, other):
        self.other = other
        self.log = open(f"{FOLDER}/{self.name}.log", "w", buffering=1)
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        begin = time.monotonic()
        while line := (await self.process.stdout.readline()).decode().rstrip("\n"):
            self.log.write(f"{time.monotonic() - begin:7.3f} {line}\n")
            self.lines.append(line)
            if line.startswith("ufrag "):
                self.listens = True
                for early in self.early:
                    self.tell(early)
                self.other.tell(line)
            elif line.startswith("candidate:"):
                self.held.append(line)
                if not self.hold:
                    self.release()

    def release(self):
        self.hold = False
        for line in self.held:
            self.other.tell(line)
        self.held = []

    def tell(self, line):
        if not self.listens:
            self.early.append(line)
            return
        self.log.write(f"        < {line}\n")
        self.process.stdin.write(line.encode() + b"\n")

    def fail(self, what):
        raise Failed(f"{self.name}: {what}; it said: {' | '.join(self.lines[-6:])}")

    def check(self):
        for line in self.lines:
            if WRONG.match(line) and not (self.allowed and re.match(self.allowed, line)):
                self.fail(f"'{line}'")
        if self.process.returncode:
            self.fail(f"it has ended with {self.process.returncode}")

    async def until(self, what, seconds, true):
        """The first result of `true` that is one."""
        end = time.monotonic() + seconds
        while not (result := true()):
            self.check()
            if time.monotonic() > end:
                self.fail(f"{what} does not come within {seconds} s")
            await asyncio.sleep(0.05)
        return result

    async def says(self, pattern, seconds, since=0):
        def look():
            return next((m for line in self.lines[since:] if (m := re.fullmatch(pattern, line))), None)
        return await self.until(f"'{pattern}'", seconds, look)

    def last(self, word):
        return next((line.split()[1:] for line in reversed(self.lines) if line.startswith(word + " ")), None)

    async def quit(self):
        self.tell("quit")
        try:
            status = await asyncio.wait_for(self.process.wait(), 10)
        except asyncio.TimeoutError:
            self.fail("it does not end")
        await self.reader
        if status != 0:
            self.fail(f"it ended with {status}")
        self.check()


class Session:
    """One case. ours, nice: options; relay, turn: whether our end, libnice's has one."""
    count = 0

    def __init__(self, name, ours="", nice="", families="46", relay=True, turn=False):
        self.name, self.port, self.sent, self.relay = name, FIRST_PORT + Session.count, 0, relay
        Session.count += 1
        arguments = ["ip", "netns", "exec", NS_OURS, ICE_PEER, *ours.split()]
        if relay:
            arguments += ["-4", RELAY4] * ("4" in families) + ["-6", RELAY6] * ("6" in families)
        arguments += [f"{OURS4}:{self.port}"] * ("4" in families) + [f"[{OURS6}]:{self.port}"] * ("6" in families)
        self.ours = End(f"{name}-ours", arguments)
        arguments = ["ip", "netns", "exec", NS_NICE, NICE_PEER, *nice.split()] + COTURN * turn
        arguments += [NICE4] * ("4" in families) + [NICE6] * ("6" in families)
        self.nice = End(f"{name}-nice", arguments)

    async def start(self):
        if self.relay:
            # Of its own: the relay has one allocation for each user name.
            words = (await output(FZRELAY, "credentials", "--stamp-secret", "a secret", "--salt", self.name)).split()
            self.ours.arguments[5:5] = ["-u", words[1], "-w", words[3]]
        await self.ours.start(self.nice)
        await self.nice.start(self.ours)

    def pair(self):
        """The pair that both have selected: local of ours, remote, with their kinds at our end; None: they do not agree."""
        ours, nice = self.ours.last("selected"), self.nice.last("selected")
        return ours if ours and nice and ours[0] == nice[1] and ours[1] == nice[0] else None

    async def up(self, seconds=UP):
        await self.ours.says("selected .*", seconds)
        await self.nice.says("state ready", seconds)
        return await self.nice.until("a pair that both have selected", seconds, self.pair)

    async def data(self):
        """One datagram each way, by the pair that is selected."""
        self.sent += 1
        self.ours.tell(f"send to-nice-{self.sent}")
        await self.nice.says(f"data to-nice-{self.sent}", UP)
        self.nice.tell(f"send to-ours-{self.sent}")
        came = (await self.ours.says(rf"data to-ours-{self.sent} (\S+ \S+)", UP)).group(1)
        if came.split() != self.ours.last("selected")[:2]:
            self.ours.fail(f"the data came on {came}")

    async def end(self):
        self.ours.check()
        self.nice.check()
        await asyncio.gather(self.ours.quit(), self.nice.quit())
        print(f"{self.name}: {' '.join(self.ours.last('selected') or ['no pair'])}", flush=True)


def expect(condition, session, what):
    if not condition:
        raise Failed(f"{session.name}: {what}; ours: {' | '.join(session.ours.lines[-8:])}; libnice: {' | '.join(session.nice.lines[-8:])}")


async def output(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode()
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)} ends with {process.returncode}")
    return text


async def block(session, *sets):
    for name in sets:
        await output("ip", "netns", "exec", NS_ROUTER, "nft", "add", "element", "inet", "fz", name, "{", str(session.port), "}")


# ---- cases ----

CASES = []


def case(f):
    CASES.append(f)
    return f


async def idle(session):
    await session.start()
    pair = await session.up()
    await session.data()
    before = [session.ours.last("state"), session.nice.last("state")]
    await asyncio.sleep(IDLE)
    expect(session.pair() == pair, session, f"the pair was {pair}")
    expect(before == [session.ours.last("state"), session.nice.last("state")], session, "a state has changed")
    await session.data()
    await session.end()


@case
async def idles():
    await asyncio.gather(idle(Session("idle", "-r", "-c", "4")),
                         idle(Session("idle_gateway", "-g", "-r -c", "4")),
                         idle(Session("idle_checks", "-r", "-k", "6", relay=False)))


async def direct(session, family):
    """Comes up on host addresses of the family, with the roles of the beginning, and carries data."""
    await session.start()
    pair = await session.up()
    expect(pair[0].startswith("[") == (family == 6) and pair[2:] == ["host", "host"], session, f"the pair {pair}")
    await session.data()
    await session.data()
    expect(not session.ours.last("role"), session, "our role has changed")
    await session.end()


@case
async def we_control():
    await asyncio.gather(direct(Session("control4", "-r", families="4"), 4),
                         direct(Session("control6", "-r", families="6", relay=False), 6))


@case
async def libnice_controls():
    await asyncio.gather(direct(Session("controlled4", nice="-r", families="4", relay=False), 4),
                         direct(Session("controlled6", nice="-r", families="6"), 6),
                         direct(Session("regular4", nice="-r -R", families="4"), 4))


async def conflict(name, controlling, least, asks_first, last):
    """
    Both begin in one role, our tie-breaker is the least or the greatest. Only the end that asks first has candidates of the other one until
    they are connected. Our role is `last` in the end, libnice's the other one.
    """
    first = "controlling" if controlling else "controlled"
    session = Session(name, ("-r " if controlling else "") + f"-t {0 if least else 0xffffffffffffffff}", "-c" + " -r" * controlling, "4")
    held = session.ours if asks_first == "ours" else session.nice
    held.hold = True

    def role():
        ours = (session.ours.last("role") or [first])[0]
        return ours != session.ours.last("peer")[0] and ours
    await session.start()
    await session.up()
    held.release()
    await session.data()
    ours = await session.ours.until("the other role for libnice", UP, role)
    expect(ours == last, session, f"we are {ours}")
    await session.data()
    await session.end()


@case
async def role_conflicts():
    # Who is asked decides. libnice goes by RFC 8445, 7.3.1.1: the greater tie-breaker controls. We, as upstream, keep our role if our
    # tie-breaker is the greater one, whatever the role.
    await asyncio.gather(conflict("both_control_we_yield", True, True, "nice", "controlled"),
                         conflict("both_control_we_refuse", True, False, "nice", "controlling"),
                         conflict("both_control_nice_refuses", True, True, "ours", "controlled"),
                         conflict("both_control_nice_yields", True, False, "ours", "controlling"),
                         conflict("none_controls_we_yield", False, True, "nice", "controlling"),
                         conflict("none_controls_we_refuse", False, False, "nice", "controlled"),
                         conflict("none_controls_nice_refuses", False, False, "ours", "controlling"),
                         conflict("none_controls_nice_yields", False, True, "ours", "controlled"))


async def late(session, end):
    """The candidates of one end come when the other has found it already, and change nothing."""
    end(session).hold = True
    await session.start()
    pair = await session.up()
    kind = session.nice.last("selected")[3] if end(session) is session.ours else pair[3]
    expect(kind == "prflx", session, f"its address is {kind}")
    await session.data()
    end(session).release()
    await asyncio.sleep(3)
    expect((await session.up())[:2] == pair[:2], session, "the pair has changed")
    await session.data()
    await session.end()


@case
async def late_candidates():
    await asyncio.gather(late(Session("late_nice", "-r", families="4"), lambda s: s.nice),
                         late(Session("late_nice_controls", "", "-r", families="4", relay=False), lambda s: s.nice),
                         late(Session("late_ours", "-r", families="4"), lambda s: s.ours),
                         late(Session("late_ours_controlled", "", "-r", families="4"), lambda s: s.ours))


@case
async def late_both():
    s = Session("late_both", "-r", families="4")
    s.ours.hold = s.nice.hold = True
    await s.start()
    await asyncio.sleep(5)
    expect(not s.pair(), s, "a pair without candidates")
    s.ours.release()
    s.nice.release()
    await s.up()
    await s.data()
    await s.end()


@case
async def tcp_candidates():
    s = Session("tcp", "-r", "-t")
    s.ours.allowed = r"refused candidate:\S+ 1 TCP "
    await s.start()
    await s.up()
    await s.data()
    expect(s.ours.last("refused"), s, "no TCP candidate came")
    await s.end()


async def moves(session, nominates=True):
    """
    The family of the selected pair is lost, and ours goes on with the other one; if libnice nominates, which may have done so with one pair
    only and does not do it again: or is without path.
    """
    await session.start()
    await session.up()
    await session.data()
    await asyncio.sleep(2)
    pair, since = session.ours.last("selected"), len(session.ours.lines)
    v6 = pair[0].startswith("[")
    other = "selected " + (r"\d.*" if v6 else r"\[.*")
    session.ours.allowed = "path lost" if nominates else None
    await block(session, "blocked6" if v6 else "blocked4")
    said = await session.ours.says(f"{other}|path lost" if nominates else other, MOVE, since)
    if said.group().startswith("selected"):
        session.ours.tell("send moved")
        await session.nice.says("data moved", UP)
    else:
        await session.ours.says("state checking", UP, since)
    await session.end()


@case
async def path_breaks():
    await asyncio.gather(moves(Session("move", "-r"), nominates=False),
                         moves(Session("move_controlled", "", "-r")))


async def breaks(session):
    """Nothing goes any more, and ours says so."""
    await session.start()
    await session.up()
    await session.data()
    session.ours.allowed = session.nice.allowed = "path lost|failed no path works|state (failed|disconnected)"
    await block(session, "blocked4")
    await session.ours.says("failed no path works", END)
    expect("state disconnected" in session.ours.lines, session, "it was not disconnected first")
    await session.end()


@case
async def all_breaks():
    await asyncio.gather(breaks(Session("break", "-r", "", "4", relay=False)),
                         breaks(Session("break_controlled", "", "-r", "4", relay=False)))


async def relayed(session, kinds, *sets):
    await block(session, *sets)
    await session.start()
    pair = await session.up()
    expect(pair[2:] == kinds, session, f"the pair {pair}")
    await session.data()
    await session.end()


@case
async def relays():
    await asyncio.gather(relayed(Session("our_relay", "-r", families="4"), ["relay", "host"], "blocked4"),
                         relayed(Session("our_relay6", "", "-r", families="6"), ["relay", "host"], "blocked6"),
                         relayed(Session("their_relay", "-r", "", "4", turn=True), ["host", "relay"], "blocked4"),
                         relayed(Session("both_relays", "-r", "-f", "4", turn=True), ["relay", "relay"], "blocked4", "sealed"))


async def main():
    try:
        await asyncio.gather(*(f() for f in CASES if not ONLY or f.__name__ in ONLY))
    except Failed as e:
        print(f"nice_cases: {e}", file=sys.stderr, flush=True)
        os._exit(1)  # the ends are killed with their namespaces


asyncio.run(main())
