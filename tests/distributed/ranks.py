"""Real ranks over gloo that stay alive between tests, so that imports are paid for once."""

import importlib
import multiprocessing
import os
import socket
import traceback
from multiprocessing.connection import Connection
from typing import Any

SECONDS_UNTIL_HUNG = 600


class RankPool:
    """`world_size` processes in one process group. `run` calls a function of tests.distributed.rank_tasks,
    or of the module named before it (`checkpoint_tasks.train_run`), on every rank and returns the results in
    rank order."""

    def __init__(self, world_size: int) -> None:
        context = multiprocessing.get_context("spawn")
        port = _free_port()
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(world_size):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank, world_size, port), daemon=True)
            process.start()
            self._pipes.append(mine)
            self._processes.append(process)

    def run(self, task: str, *arguments: Any) -> list[Any]:
        """Raises RuntimeError with every rank's traceback if one fails, or if one does not answer."""
        for pipe in self._pipes:
            pipe.send((task, arguments))
        answers = []
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(SECONDS_UNTIL_HUNG):
                self.close()
                raise RuntimeError(f"rank {rank} does not answer in {task}{arguments}")
            answers.append(pipe.recv())
        failures = [f"rank {rank}:\n{text}" for rank, (ok, text) in enumerate(answers) if not ok]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [result for _, result in answers]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _serve(pipe: Connection, rank: int, world_size: int, port: int) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        OMP_NUM_THREADS="1",
        TOKENIZERS_PARALLELISM="false",
    )
    while True:
        try:
            task, arguments = pipe.recv()
        except EOFError:
            return
        try:
            module, _, name = task.rpartition(".")
            tasks = importlib.import_module(f"tests.distributed.{module or 'rank_tasks'}")
            pipe.send((True, getattr(tasks, name)(*arguments)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
