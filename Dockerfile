# docker build --tag theano-tutorials .
# docker run --rm theano-tutorials               trains logistic regression
# docker run --rm theano-tutorials make test     runs all tests
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /theano_tutorials
COPY . .
RUN make setup

CMD ["make", "train"]
