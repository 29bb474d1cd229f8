select
    c."kind" as entity,
    c."system" as code_space,
    c."code" as code,
    c."means_system" as master_code_space,
    c."means_code" as master_code
from codes as c
