// Ends with status 0 where the poll answers.
import { get } from "node:http";

get({ host: "127.0.0.1", port: process.env.PORT }, (response) => {
  console.log(response.statusCode === 200 ? "healthy" : `status ${response.statusCode}`);
  process.exit(response.statusCode === 200 ? 0 : 1);
});
