"""A cluster that hbt starts by itself is nobody else's."""

import json
import os
import subprocess
import sys

CODE = """
import json, os, pathlib, psutil, stat
from distributed_hbt.coordinator.cluster import connected
with connected(None):
    import ray
    own = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = sorted({
        c.laddr.ip for p in own for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN
    })
    names = sorted({p.name() for p in own})
    session = pathlib.Path(ray._private.worker._global_node.get_session_dir_path())
    private = any(stat.S_IMODE(os.stat(folder).st_mode) == 0o700 for folder in session.parents)
    found = {"listening": listening, "names": names, "private": private, "mode": os.environ["RAY_AUTH_MODE"],
             "token": os.environ["RAY_AUTH_TOKEN"], "dashboard": ray.worker.get_dashboard_url()}
print(json.dumps(found))
"""


def test_ray_of_this_machine_listens_on_loopback_with_a_token_and_without_a_dashboard() -> None:
    """Whoever reaches a Ray port runs what he likes: as this user, on this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", CODE], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "raylet" in found["names"]
    assert found["listening"]
    assert all(ip.removeprefix("::ffff:").startswith("127.") or ip == "::1" for ip in found["listening"]), (
        found["listening"]
    )
    assert (found["mode"], len(found["token"])) == ("token", 64)
    assert not found["dashboard"]
    assert found["private"]  # else other users of the machine could talk to its sockets
