#!/bin/sh
docker build -t me/app .
