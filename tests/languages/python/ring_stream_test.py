"""A C++ producer and a Python consumer stream images through a ring; both are killed and started again."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import arrayfs

PRODUCER = os.environ["RING_PRODUCER"]
IMAGES = 10_000


def consume(path: str) -> None:
    """Checks images in place and writes the number of each to stdout before it is done with it."""
    ring = arrayfs.ring(path)
    while True:
        with ring.acquire() as image:
            number = int(image.reshape(-1)[:4].view("int32")[0])
            whole = image.reshape(-1)[4:]
            good = int(whole.min()) == int(whole.max()) == number % 251
            print(json.dumps([number, good]), flush=True)
        if number == IMAGES - 1:
            return


class Stream(unittest.TestCase):
    def start_producer(self, first: int) -> subprocess.Popen:
        command = [PRODUCER, str(self.path), str(first), str(IMAGES)]
        return subprocess.Popen(command, stdout=self.published, text=True)

    def start_consumer(self) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-B", __file__, str(self.path)], stdout=subprocess.PIPE, text=True)

    def test_no_image_is_lost(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "images.npy"
        arrayfs.ring(self.path, "uint8", (224, 224, 3), slots=16)
        self.published = open(Path(directory.name) / "published", "w+", encoding="ascii")
        self.addCleanup(self.published.close)
        producer = self.start_producer(0)
        consumer = self.start_consumer()
        seen = []
        while IMAGES - 1 not in seen[-1:]:
            line = consumer.stdout.readline()
            if not line.endswith("\n"):
                # Killed: what it had not finished comes again.
                consumer.wait()
                consumer.stdout.close()
                consumer = self.start_consumer()
                continue
            number, good = json.loads(line)
            self.assertTrue(good, number)
            seen.append(number)
            if len(seen) == 3000:
                consumer.kill()
            if len(seen) == 6000:
                producer.kill()
                self.assertEqual(producer.wait(), -signal.SIGKILL)
                written = Path(self.published.name).read_text(encoding="ascii").split("\n")[:-1]
                producer = self.start_producer(int(written[-1]) + 1)
        self.assertEqual((producer.wait(), consumer.wait()), (0, 0))
        consumer.stdout.close()
        # One may come twice for each kill: had by the dead consumer, or published before the death
        # and told after it.
        self.assertEqual(sorted(set(seen)), list(range(IMAGES)))
        self.assertLessEqual(len(seen) - IMAGES, 2)


if __name__ == "__main__":
    consume(sys.argv[1])
