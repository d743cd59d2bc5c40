"""``python -m latentcrdt_server``: serve with the settings of the environment."""

from latentcrdt_server.process import run
from latentcrdt_server.settings import Settings

if __name__ == "__main__":
    run(Settings())
