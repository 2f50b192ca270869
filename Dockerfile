# Two images, without root and with the versions of constraints.txt:
#   docker build --tag REGISTRY/distributed-hbt:TAG .                       training and evaluation, CUDA
#   docker build --build-arg BASE=ubuntu:24.04 --tag REGISTRY/distributed-hbt:TAG-cpu .
#   docker build --target mlflow --tag REGISTRY/distributed-hbt-mlflow:TAG .
# torch brings its own CUDA libraries, so the base has none. On the CPU base torch may be the smaller build: name the
# address of PyTorch's CPU wheels in PIP_EXTRA_INDEX_URL.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ubuntu:24.04 AS builder
# Distribution packages follow the release's security updates.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH DS_BUILD_OPS=0 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt ./

FROM builder AS mlflow-environment
RUN pip install --no-cache-dir --constraint constraints.txt mlflow psycopg2-binary boto3

FROM builder AS environment
ARG PIP_EXTRA_INDEX_URL=""
COPY pyproject.toml ./
# What the project needs, before the project itself: a changed line of code installs nothing anew.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY distributed_hbt ./distributed_hbt
RUN pip install --no-cache-dir --no-deps --constraint constraints.txt .

FROM ubuntu:24.04 AS mlflow
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=mlflow-environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
EXPOSE 5000
ENTRYPOINT ["mlflow"]

# hadolint ignore=DL3006
FROM ${BASE} AS training
# g++: DeepSpeed and Triton compile at run time. wget: the operator's probes.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ python3 python3-dev wget \
    && rm -rf /var/lib/apt/lists/* && install -d -o 1000 -g 1000 /opt/hbt/user
COPY --from=environment /opt/venv /opt/venv
COPY launchers /opt/hbt/launchers
COPY ds_configs /opt/hbt/ds_configs
ENV PATH=/opt/venv/bin:$PATH HOME=/opt/hbt/user PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /opt/hbt
CMD ["hbt", "--help"]
