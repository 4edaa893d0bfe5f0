# the C compiler, and what it makes: a library, a program that uses it, both installed
ARG BASE=debian
FROM $BASE
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends gcc libc6-dev && apt-get clean
COPY hello.c /src/
WORKDIR /src
RUN gcc -shared -fPIC -DLIBRARY -o libhello.so hello.c && gcc -DPROGRAM -o hello hello.c -L. -lhello && ar rcs libhello.a libhello.so && \
    install -D -m 644 libhello.so /usr/local/lib/libhello.so.1 && ln -s libhello.so.1 /usr/local/lib/libhello.so && \
    install -m 755 hello /usr/local/bin && ldconfig && /usr/local/bin/hello > /said
