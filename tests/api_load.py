"""Fifty programs that send photos without a pause, for a minute: ``python -m tests.api_load [SECONDS]``.

Prints the answers by status, photos a second, the slowest answer, and the server's memory at a few moments.
"""

import asyncio
import contextlib
import re
import sys
import time
from collections import Counter

import httpx

from core.synthetic.sample import SAMPLE_PATH
from tests.helpers import app_server

TOKEN = "a-token-for-the-load"
PROGRAMS = 50


async def load(url: str, seconds: float) -> None:
    """Send photos and print what came of it."""
    photo, codes, slowest, memory = SAMPLE_PATH.read_bytes(), Counter[int](), 0.0, list[float]()
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client:

        async def program() -> None:
            nonlocal slowest
            while time.monotonic() < end:
                started = time.monotonic()
                answer = await client.post("/api/v1/detect", content=photo)
                slowest = max(slowest, time.monotonic() - started)
                codes[answer.status_code] += 1
                with contextlib.suppress(KeyError):
                    await asyncio.sleep(float(answer.headers["Retry-After"]))

        async def watch() -> None:
            while time.monotonic() < end:
                text = (await client.get("/metrics")).text
                memory.append(float(re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)[1]) / 1e6)
                await asyncio.sleep(seconds / 6)

        await client.post("/api/v1/detect", content=photo)  # loads the model
        await asyncio.gather(watch(), *(program() for _ in range(PROGRAMS)))
    print(f"{dict(codes)}; {codes[200] / seconds:.1f} photos a second; slowest answer {slowest:.1f} s")
    print(f"memory in MB: {', '.join(f'{each:.0f}' for each in memory)}")


if __name__ == "__main__":
    with app_server({"MASK_API_TOKEN": TOKEN, "MASK_API_PER_MINUTE": "100000"}) as address:
        asyncio.run(load(address, float(sys.argv[1]) if len(sys.argv) > 1 else 60))
