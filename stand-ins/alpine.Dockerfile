# A stand-in for the alpine image: busybox of each platform's architecture, nothing else.
FROM scratch
LABEL dev.buildx-tasks.stand-in="true"
ARG TARGETARCH
COPY ${TARGETARCH}/ /
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -m 1777 /tmp && mkdir /root && echo root:x:0:0:root:/root:/bin/sh > /etc/passwd
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/sh"]
