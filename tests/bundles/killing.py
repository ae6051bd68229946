"""A handler for layers on trainings that are to be killed."""

import os
import signal

from ignite.engine import Engine, Events

from latentct.tracking import MLflowTracker


class KillAt:
    """Kill the process as `kill -9` does, in an iteration whose points are in the store already."""

    def __init__(self, tracker: MLflowTracker, iteration: int) -> None:
        self.tracker = tracker
        self.iteration = iteration

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=self.iteration), self.kill)

    def kill(self) -> None:
        self.tracker.run.flush()
        os.kill(os.getpid(), signal.SIGKILL)
