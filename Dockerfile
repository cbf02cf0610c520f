# The pages alone, without training: docker build -t face-masks . && docker run --rm -p 8501:8501 face-masks
# With training: docker build --build-arg REQUIREMENTS=requirements.txt -t face-masks .
FROM python:3.11-slim

ARG REQUIREMENTS=requirements-app.txt
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt requirements-app.txt constraints.txt ./
RUN pip install --constraint constraints.txt --requirement "$REQUIREMENTS"

RUN useradd --create-home --uid 1000 app \
    && mkdir /data \
    && chown app:app /data
COPY .streamlit/config.toml .streamlit/config.toml
COPY streamlit_app.py ./
COPY core core
COPY train train
COPY pages pages
COPY locale locale
# Packages are compiled by pip; without this, every process would compile the app's own code anew.
RUN python -m compileall -q core train pages
# The app installs models here and notes which one is active.
COPY --chown=app:app models models

USER app
ENV MASK_DATA_DIR=/data/sets MASK_RUNS_DIR=/data/runs
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "streamlit_app.py", "--server.address=0.0.0.0", "--server.headless=true"]
